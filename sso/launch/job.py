"""The job file of a training: everything its processes need, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundwork.files import write_json, write_lines
from groundwork.stage_result import StageResult
from groundwork.stored import Lazy, stored_rows
from sso.objectives import Objective, PromptGroup
from sso.records import PreferencePair
from sso.settings import MethodSettings

JOB, EXAMPLES, RESULT, PROGRESS = "job.json", "examples.jsonl", "result.json", "progress.json"


@dataclass(frozen=True)
class Job:
    """A training as its processes read it; ``work`` is the folder of the job file."""

    model: Path
    objective: Objective
    settings: MethodSettings
    out: Path
    work: Path
    seed: int
    sharded: bool
    cpu_offload: bool

    def write(self, examples: Sequence[PromptGroup]) -> Path:
        """Write job and examples; results and reports of an earlier start go."""
        for old in (self.work / RESULT, self.work / PROGRESS, *self.work.glob("rank-*.*")):
            old.unlink(missing_ok=True)
        rows = (
            {"id": group.id, "pairs": [json.loads(p.model_dump_json()) for p in group.pairs]}
            for group in examples
        )
        write_lines(self.work / EXAMPLES, (json.dumps(row, ensure_ascii=False) for row in rows))
        content: dict[str, Any] = {
            "model": str(self.model.absolute()),
            "objective": asdict(self.objective),
            "settings": json.loads(self.settings.model_dump_json()),
            "out": str(self.out.absolute()),
            "seed": self.seed,
            "sharded": self.sharded,
            "cpu_offload": self.cpu_offload,
        }
        write_json(self.work / JOB, content)
        return self.work / JOB


def read_job(file: Path) -> Job:
    """The job that ``Job.write`` wrote."""
    raw = json.loads(file.read_text(encoding="utf-8"))
    return Job(
        model=Path(raw["model"]),
        objective=Objective(**raw["objective"]),
        settings=MethodSettings.model_validate(raw["settings"]),
        out=Path(raw["out"]),
        work=file.parent,
        seed=raw["seed"],
        sharded=raw["sharded"],
        cpu_offload=raw["cpu_offload"],
    )


def read_examples(work: Path) -> Sequence[PromptGroup]:
    """The examples of the job in ``work``, read one by one as they are asked for."""
    rows = stored_rows(work / EXAMPLES)

    def group(number: int) -> PromptGroup:
        row = rows[number]
        pairs = tuple(PreferencePair.model_validate(pair) for pair in row["pairs"])
        return PromptGroup(row["id"], pairs)

    return Lazy(len(rows), group)


def write_result(work: Path, result: StageResult) -> None:
    """Leave the training's result beside its job."""
    write_json(work / RESULT, asdict(result))


def read_result(work: Path) -> StageResult:
    """What ``write_result`` left."""
    raw = json.loads((work / RESULT).read_text(encoding="utf-8"))
    return StageResult(**{**raw, "notes": tuple(raw["notes"])})
