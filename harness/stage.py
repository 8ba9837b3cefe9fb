"""The plan of an experiment: every stage, what it reads and what it depends on.

The whole plan is known before anything runs. A stage's fingerprint covers its settings, its seed
and the checksums of what it reads, so that a re-run redoes exactly what a change touches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from harness.resources import Session

StageKind = Literal["data", "sample", "train", "eval", "judge"]


@dataclass(frozen=True)
class Source:
    """Where an input comes from: an output of an earlier stage, or something outside the run.

    ``stage`` and ``output`` name an earlier stage and a file or folder in it (``""`` for all of
    it); without a stage, ``path`` and ``fingerprint`` describe something that no stage made.
    """

    stage: str = ""
    output: str = ""
    path: Path | None = None
    fingerprint: str = ""


@dataclass(frozen=True)
class StageRun:
    """What a stage function gets: where to write, what to read, and the open session."""

    stage: Stage
    folder: Path
    inputs: Mapping[str, Path]
    session: Session
    progress: Callable[[int, int], None]


@dataclass(frozen=True)
class StageOutcome:
    """What a stage function reports into its record."""

    counts: Mapping[str, int] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True)
class Stage:
    """One step of the plan. ``id`` is also its folder; ``work`` makes its outputs.

    ``prunable`` names outputs that may be removed once nothing pending reads them.
    """

    id: str
    kind: StageKind
    inputs: Mapping[str, Source]
    settings: Mapping[str, Any]
    work: Callable[[StageRun], StageOutcome]
    seed: int = 0
    iteration: int = 0
    arm: str = ""
    prunable: tuple[str, ...] = ()


SCRATCH = ("generations.jsonl", "work")
"""Files of a stage that help it resume and are no outputs: the journal and training states."""


def readers(plan: Sequence[Stage], stage: str, output: str) -> list[Stage]:
    """The stages of the plan that read an output of ``stage``."""
    found = []
    for later in plan:
        for source in later.inputs.values():
            same = source.stage == stage
            overlaps = not source.output or source.output.split("/")[0] == output
            if same and overlaps and later not in found:
                found.append(later)
    return found
