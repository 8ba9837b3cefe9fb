"""Models of the hub: what it refuses is one line, what it can't answer comes from the local cache."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from harness.hub_models import HUB_FILES, from_hub
from harness.model_checks import ModelError


class Hub:
    """Stands in for the hub: the error that asking about a model raises, or its files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: Any, copy: Path | None) -> None:
        self.downloads: list[dict[str, Any]] = []

        def info(api: object, spec: str, timeout: float) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in answer])

        def download(spec: str, **options: Any) -> str:
            self.downloads.append(options)
            if copy is None:
                raise errors.LocalEntryNotFoundError("no copy")
            return str(copy)

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", info)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


def refused(kind: type[errors.HfHubHTTPError]) -> Exception:
    response = SimpleNamespace(headers={}, status_code=403, request=None)
    return kind("no", response=response)  # type: ignore[arg-type]


def test_only_weights_tokenizer_and_template_are_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = Hub(monkeypatch, ["model.safetensors", "modeling_evil.py", "model.bin"], tmp_path)
    assert from_hub("org/model", print) == tmp_path
    assert hub.downloads[0]["allow_patterns"] == HUB_FILES
    assert hub.downloads[0]["local_files_only"] is False
    assert not any(name.endswith((".py", ".bin")) for name in HUB_FILES)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refused(errors.GatedRepoError), "is gated: accept its terms"),
        (refused(errors.RepositoryNotFoundError), "neither a local folder nor on the hub"),
        (["pytorch_model.bin"], "no safetensors weights on the hub"),
        (OSError("no route"), "is not in the local hub cache and the hub can't be reached"),
    ],
)
def test_one_line_each(answer: Any, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(monkeypatch, answer, None)
    with pytest.raises(ModelError, match=expected) as raised:
        from_hub("org/model", lambda line: None)
    assert "\n" not in str(raised.value)


def test_without_a_hub_the_local_copy_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    hub = Hub(monkeypatch, OSError("no route"), tmp_path)
    assert from_hub("org/model", said.append) == tmp_path
    assert hub.downloads[0]["local_files_only"] is True
    assert "looking in the local cache" in said[0]
