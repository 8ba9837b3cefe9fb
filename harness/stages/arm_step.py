"""The stage of one step of an arm's iteration (sampling, training): a thin shell round ``sso.arms``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from groundwork.files import file_sha256
from groundwork.stored import stored_records
from harness.config import RunConfig
from harness.engines import engine_identity
from harness.stage import CheckpointKey, PlanInputs, Source, Stage, StageContext, StageResult
from harness.stages.write_principles import read_principles
from sso.arms import Arm, Step, StepContext
from sso.launch import launch
from sso.records import Principle, Query
from sso.settings import SPEED_ONLY, TrainingSettings

if TYPE_CHECKING:
    from harness.engines import ResumableEngine

MODEL = "model"
"""Sub-folder in which a train step leaves its checkpoint."""


def arm_step_stage(
    inputs: PlanInputs, arm: Arm, step: Step, key: CheckpointKey, sources: Mapping[str, Source]
) -> Stage:
    """One step of an arm as a stage. ``sources`` maps every name that the step may read."""
    config = inputs.config
    needed = {name: sources[name] for name in step.inputs}
    if arm.uses_queries and step.kind == "sample":
        own = config.queries.generator_has_own and step.queries == "generator"
        needed["queries"] = sources["generator_queries" if own else "queries"]
        if "principles" in sources:
            needed["principles"] = sources["principles"]

    def work(run: StageContext) -> StageResult:
        if step.kind == "train":
            run.resources.release()
        return step.run(
            StepContext(
                folder=run.folder,
                inputs={name: run.inputs[name] for name in step.inputs},
                queries=_queries(run.inputs.get("queries")),
                settings=config.method_of(step.name),
                iteration=key.iteration,
                seed=key.seed,
                engine=lambda folder: _journaled(run, folder),
                principles=_principles(run.inputs.get("principles")),
                progress=run.progress,
                train=partial(launch, how=config.launch),
            )
        )

    return Stage(
        id=f"{key.folder}/{step.name}",
        kind=step.kind,
        inputs=needed,
        settings={**_settings(step, config), **inputs.template_date},
        work=work,
        seed=key.seed,
        iteration=key.iteration,
        arm=arm.name,
        prunable=_prunable(config, arm, step, key.iteration),
    )


def _prunable(config: RunConfig, arm: Arm, step: Step, iteration: int) -> tuple[str, ...]:
    """The checkpoint of a generator, or of an earlier iteration's policy, if not to be kept."""
    if step.kind != "train":
        return ()
    if step.name != [s.name for s in arm.steps if s.kind == "train"][-1]:
        return () if config.storage.keep_generators else (MODEL,)
    last = iteration == config.effective_iterations
    return () if last or config.storage.keep_policies == "all" else (MODEL,)


def _settings(step: Step, config: RunConfig) -> dict[str, object]:
    """The sections that the step depends on, without keys that only move speed or logging."""
    sections = config.method_of(step.name).model_dump(include=set(step.settings))
    if "training" in sections:
        sections["training"] = training_identity(config.method_of(step.name).training)
    principles = sections.get("principles")
    if isinstance(principles, dict) and principles["system_role"] == "auto":
        del principles["system_role"]  # likewise
    found: dict[str, object] = dict(sections)
    file = config.principles.file
    if "principles" in step.settings and file is not None:
        found["principles_file"] = file_sha256(Path(file))
    if step.kind == "sample":
        found["engine"] = engine_identity(config.engine)
    return found


def training_identity(training: TrainingSettings) -> dict[str, object]:
    """The settings of a training that can move a weight; defaults of later keys are left out, as in records
    from before they were settings."""
    found: dict[str, object] = training.model_dump(exclude=set(SPEED_ONLY))
    if not training.dropout:
        del found["dropout"]
    if training.saved_precision == "same":
        del found["saved_precision"]
    return found


def _queries(folder: Path | None) -> Sequence[Query]:
    return () if folder is None else stored_records(folder / "queries.jsonl", Query)


def _principles(folder: Path | None) -> dict[str, Principle] | None:
    return None if folder is None else read_principles(folder)


def _journaled(run: StageContext, folder: Path) -> ResumableEngine:
    from harness.engines import ResumableEngine

    return ResumableEngine(run.resources.engine(folder), run.folder / "generations.jsonl")
