"""A stage: one step of an experiment, what it reads, what it depends on, and what it reports.

The whole plan is known before anything runs. A stage's fingerprint covers its settings, its seed
and the checksums of what it reads, so that a re-run redoes exactly what a change touches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groundwork.addresses import public_address
from groundwork.stage_result import StageResult
from harness.config import RunConfig
from harness.data.sources import DataSource

if TYPE_CHECKING:
    from harness.models import ResolvedModel
    from harness.resources import Resources

__all__ = [
    "CheckpointKey",
    "PlanInputs",
    "Source",
    "Stage",
    "StageContext",
    "StageKind",
    "StageResult",
    "readers",
]

StageKind = Literal["data", "sample", "train", "eval", "judge"]

SCRATCH = ("generations.jsonl", "work")
"""Files of a stage that help it resume and are no outputs: the journal and training states."""
SHOWN = ("generations.jsonl", "work/curve.jsonl")
"""Files among these that a finished stage keeps: for plots, and should it have to be redone."""


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
class CheckpointKey:
    """Which checkpoint a stage belongs to: arm (``base`` for the starting model), iteration, seed.

    ``prefix`` separates the folders of several seeds (``seed-1/``).
    """

    arm: str
    iteration: int
    seed: int
    prefix: str = ""

    @property
    def folder(self) -> str:
        """Folder of the checkpoint's stages inside the run."""
        return "base" if self.arm == "base" else f"{self.prefix}{self.arm}/iter-{self.iteration}"

    def score_fields(self, model: str) -> dict[str, Any]:
        """The fields of a score record that say which checkpoint it belongs to."""
        return {"arm": self.arm, "iteration": self.iteration, "seed": self.seed, "model": model}


@dataclass(frozen=True)
class PlanInputs:
    """What every stage of a plan is made from: configuration, data source and starting model."""

    config: RunConfig
    data: DataSource
    model: ResolvedModel

    @property
    def base(self) -> Source:
        """The starting model as the input of a stage."""
        return Source(path=self.model.path, fingerprint=self.model.fingerprint)

    @property
    def template_date(self) -> dict[str, str]:
        """The day that the model's chat template writes into prompts: a setting of every stage that
        renders one."""
        from harness.engines.chat_tokenizer import template_date

        return template_date(self.model.path)

    def judge_id(self, use: str) -> str:
        """What a verdict depends on besides the prompt: the judge that answers in this use."""
        name, url = self.config.judge.judge_of(use)
        if name == "local":
            return f"local:{self.model.fingerprint[:16]}"
        if name.startswith("reward:"):
            from harness.reward_judge import reward_judge_id

            return reward_judge_id(name)
        return name + (f"@{public_address(url)}" if url else "")


@dataclass(frozen=True)
class StageContext:
    """What a stage function gets: where to write, what to read, and the shared resources."""

    stage: Stage
    folder: Path
    inputs: Mapping[str, Path]
    resources: Resources
    progress: Callable[[int, int], None]


@dataclass(frozen=True)
class Stage:
    """One step of the plan. ``id`` is also its folder; ``work`` makes its outputs.

    ``prunable`` names outputs that may be removed once nothing pending reads them. ``rescore`` makes the
    scores again from a finished stage's outputs: only verdicts that failed are asked for.
    """

    id: str
    kind: StageKind
    inputs: Mapping[str, Source]
    settings: Mapping[str, Any]
    work: Callable[[StageContext], StageResult]
    seed: int = 0
    iteration: int = 0
    arm: str = ""
    prunable: tuple[str, ...] = ()
    rescore: Callable[[StageContext], StageResult] | None = None


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
