"""What a probe of a model found, kept in the user's cache: the same architecture is not probed each time.

A note holds for a configuration, the code that drives the model (transformers', ours, the model's own), the
processor and the settings that the probe reads. Weights are not part of it.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from groundwork.checksums import OWN, user_cache
from groundwork.files import digest, file_sha256, read_json, write_json


class KeptNote:
    """One note under ``folder`` of the cache, on one model as it was loaded.

    Args:
        folder: name of the folder in the user's cache.
        model: the model before anything in it was replaced.
        code: folders of this program whose Python files drive the model.
        settings: whatever else the finding depends on, JSON-able.
    """

    def __init__(
        self, folder: str, model: Any, code: Iterable[Path], settings: Mapping[str, Any]
    ) -> None:
        found = {
            **settings,
            "model": [type(model).__qualname__, configuration(model), _own_code(model)],
            "weights": sorted({str(p.dtype) for p in model.parameters()}),
            "code": [_versions(), *(_code(Path(path)) for path in code)],
            "machine": machine(next(model.parameters()).device),
        }
        self.file = user_cache() / folder / f"{digest(found)}.json"

    def read(self) -> dict[str, Any] | None:
        """What was kept; ``None`` where nothing is, or not whole."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            note: dict[str, Any] = read_json(self.file)
            if note.pop(OWN, None) == digest(note):
                return note
        return None

    def write(self, note: Mapping[str, Any]) -> None:
        """Keep a note; a cache that can't be written is left as it is."""
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.file, {**note, OWN: digest(note)})


def configuration(model: Any) -> dict[str, Any]:
    """The configuration without what differs between copies of a model."""
    found: dict[str, Any] = model.config.to_dict()
    return {k: v for k, v in found.items() if k not in ("_name_or_path", "transformers_version")}


def _own_code(model: Any) -> list[str]:
    """Checksums of the code that came with the model, if any did."""
    if type(model).__module__.startswith("transformers."):
        return []
    file = Path(str(getattr(sys.modules[type(model).__module__], "__file__", "")))
    return [file_sha256(other) for other in sorted(file.parent.glob("*.py"))]


@cache
def _versions() -> list[str]:
    return [torch.__version__, *map(_version, ("transformers", "peft"))]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@cache
def _code(folder: Path) -> str:
    here = Path(__file__).resolve().parent
    files = [*sorted(folder.glob("*.py")), *sorted(here.glob("*.py"))]
    return digest([file_sha256(file) for file in files])


def machine(device: torch.device) -> list[str]:
    """What a finding on this device holds for: the kind of GPU, or the processor."""
    if device.type == "cuda":
        return [torch.cuda.get_device_name(device)]
    return [device.type, platform.machine(), torch.backends.cpu.get_cpu_capability()]
