"""Keeps what the forward probe found: the same architecture is not probed at every stage.

A plan holds for sequences of the length that was probed, for shorter ones, and for those of less than twice
that length where the configuration names no number in between (a window, a chunk, a trained length).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from groundwork.kept_note import KeptNote, configuration, machine
from sso.encoding import EncodedGroup
from sso.fast_forward import ForwardPlan, device_of
from sso.forward_probe import longest_probed
from sso.settings import TrainingSettings


class KeptPlan:
    """The note in the cache on one policy, as loaded and with its adapters not yet added; ``device`` is where it
    will train, if not where it is."""

    def __init__(
        self,
        policy: Any,
        groups: Sequence[EncodedGroup],
        options: TrainingSettings,
        *,
        sharded: bool = False,
        device: torch.device | None = None,
    ) -> None:
        self.length = probed.longest if (probed := longest_probed(policy, groups)) else 0
        self._numbers = set(_whole_numbers(configuration(policy)))
        settings = {
            "pairs": sorted({name for group in groups for name in group.pairs}),
            "training": [options.precision, options.lora.model_dump(), sharded],
            "trains_on": machine(device or device_of(policy)),
        }
        self.note = KeptNote("forward-plans", policy, [Path(__file__).parent], settings)

    def read(self) -> ForwardPlan | None:
        """The plan found before that holds for sequences of this length; ``None`` where there is none."""
        if (note := self.note.read()) is None:
            return None
        with contextlib.suppress(TypeError, KeyError):
            if self._holds(note["length"]):
                fields = note["plan"]
                return ForwardPlan(**{**fields, "notes": tuple(fields["notes"])})
        return None

    def write(self, plan: ForwardPlan) -> None:
        """Keep a plan; a cache that can't be written is left as it is."""
        self.note.write({"length": self.length, "plan": asdict(plan)})

    def _holds(self, probed: int) -> bool:
        if self.length <= probed:
            return True
        between = any(probed <= number <= self.length for number in self._numbers)
        return self.length < 2 * probed and not between


def _whole_numbers(value: Any) -> Iterator[int]:
    """Every whole number in a configuration, nested ones too."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _whole_numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _whole_numbers(inner)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value
