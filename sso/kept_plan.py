"""Keeps what the forward probe found in the user's cache: the same architecture is not probed at every stage.

A plan holds for a configuration, the code that drives it (transformers', ours, the model's own), the
processor and the settings that the probe reads, and for sequences up to the length that was probed.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from groundwork.checksums import user_cache
from groundwork.files import digest, file_sha256, read_json, write_json
from sso.encoding import EncodedGroup
from sso.fast_forward import ForwardPlan, device_of
from sso.forward_probe import longest_probed
from sso.settings import TrainingSettings


class KeptPlan:
    """The note in the cache on one policy, as loaded and with its adapters not yet added."""

    def __init__(
        self,
        policy: Any,
        groups: Sequence[EncodedGroup],
        options: TrainingSettings,
        *,
        sharded: bool = False,
    ) -> None:
        self.length = probed.longest if (probed := longest_probed(policy, groups)) else 0
        found = {
            "model": [type(policy).__qualname__, _configuration(policy), _own_code(policy)],
            "code": _code(),
            "pairs": sorted({name for group in groups for name in group.pairs}),
            "training": [options.precision, options.lora.model_dump(), sharded],
            "weights": sorted({str(p.dtype) for p in policy.parameters()}),
            "machine": _machine(device_of(policy)),
        }
        self.file = user_cache() / "forward-plans" / f"{digest(found)}.json"

    def read(self) -> ForwardPlan | None:
        """The plan found before for sequences of at least this length; ``None`` where there is none."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            note = read_json(self.file)
            if note["length"] >= self.length and note["checksum"] == digest(note["plan"]):
                fields = note["plan"]
                return ForwardPlan(**{**fields, "notes": tuple(fields["notes"])})
        return None

    def write(self, plan: ForwardPlan) -> None:
        """Keep a plan; a cache that can't be written is left as it is."""
        fields = asdict(plan)
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            note = {"length": self.length, "plan": fields, "checksum": digest(fields)}
            write_json(self.file, note)


def _configuration(policy: Any) -> dict[str, Any]:
    """The configuration without what differs between copies of a model."""
    found: dict[str, Any] = policy.config.to_dict()
    return {k: v for k, v in found.items() if k not in ("_name_or_path", "transformers_version")}


def _own_code(policy: Any) -> list[str]:
    """Checksums of the code that came with the model, if any did."""
    if type(policy).__module__.startswith("transformers."):
        return []
    file = Path(str(getattr(sys.modules[type(policy).__module__], "__file__", "")))
    return [file_sha256(other) for other in sorted(file.parent.glob("*.py"))]


@cache
def _code() -> list[str]:
    """Versions of the libraries, and a checksum of this program's code that drives a model."""
    import peft
    import transformers

    here = Path(__file__).resolve().parent
    files = [*sorted(here.glob("*.py")), *sorted((here.parent / "groundwork").glob("*.py"))]
    ours = digest([file_sha256(file) for file in files])
    return [torch.__version__, transformers.__version__, peft.__version__, ours]


def _machine(device: torch.device) -> list[str]:
    if device.type == "cuda":
        return [torch.cuda.get_device_name(device)]
    return [device.type, platform.machine(), torch.backends.cpu.get_cpu_capability()]
