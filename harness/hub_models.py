"""Models of the hub: only safetensors, tokenizer and template files, through the hub's own cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from groundwork.download_bar import download_bar
from harness.model_checks import ModelError

HUB_FILES = [
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template*",
]
HUB_TIMEOUT_SECONDS = 5.0


def from_hub(spec: str, log: Callable[[str], None]) -> Path:
    """Download ``spec``; where the hub does not answer, what its local cache has.

    Raises:
        ModelError: no such model, a gated one, one without safetensors, or no hub and no copy.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    offline = constants.HF_HUB_OFFLINE or not _hub_answers(spec, log)
    try:
        return Path(
            huggingface_hub.snapshot_download(
                spec,
                allow_patterns=HUB_FILES,
                local_files_only=offline,
                etag_timeout=HUB_TIMEOUT_SECONDS,
                tqdm_class=download_bar(),
            )
        )
    except errors.LocalEntryNotFoundError:
        raise ModelError(
            f"model {spec} is not in the local hub cache and the hub can't be reached "
            f"({constants.ENDPOINT}): give a local folder, or set HF_ENDPOINT"
        ) from None
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelError(f"model {spec} can't be downloaded: {first}") from None


def _hub_answers(spec: str, log: Callable[[str], None]) -> bool:
    """Whether the hub answers within seconds. Raises ``ModelError`` when it says no to ``spec``."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        info = huggingface_hub.HfApi().model_info(spec, timeout=HUB_TIMEOUT_SECONDS)
    except errors.GatedRepoError:
        raise ModelError(
            f"model {spec} is gated: accept its terms on the hub, then set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise ModelError(
            f"model {spec} is neither a local folder nor on the hub (or it is private: set HF_TOKEN)"
        ) from None
    except errors.HFValidationError as error:
        raise ModelError(f"model {spec} is neither a local folder nor a hub id: {error}") from None
    except Exception as error:
        # Whatever the HTTP stack raises (refused, unresolved, time-out, proxy page, 5xx): no hub.
        log(f"hub not reachable ({type(error).__name__}); looking in the local cache")
        return False
    names = [file.rfilename for file in info.siblings or []]
    if names and not any(name.endswith(".safetensors") for name in names):
        raise ModelError(f"model {spec} has no safetensors weights on the hub: safetensors only")
    return True
