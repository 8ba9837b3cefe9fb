"""The stages of one arm's iteration: a thin shell round the steps of ``sso.arms``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from groundwork.files import file_sha256, read_json_lines
from harness.config import RunConfig
from harness.stage import Source, Stage, StageOutcome, StageRun
from sso.arms import Arm, Step, StepContext
from sso.records import Query

if TYPE_CHECKING:
    from harness.engines import ResumableEngine

MODEL = "model"
"""Sub-folder in which a train step leaves its checkpoint."""


def step_stage(
    arm: Arm,
    step: Step,
    config: RunConfig,
    *,
    prefix: str,
    iteration: int,
    seed: int,
    sources: Mapping[str, Source],
) -> Stage:
    """One step of an arm as a stage. ``sources`` maps every name the step may read."""
    needed = {name: sources[name] for name in step.inputs}
    if arm.uses_queries and step.kind == "sample":
        needed["queries"] = sources["queries"]
    last_train = [s.name for s in arm.steps if s.kind == "train"][-1]

    def work(run: StageRun) -> StageOutcome:
        session = run.session
        if step.kind == "train":
            session.release()
        context = StepContext(
            folder=run.folder,
            inputs={name: run.inputs[name] for name in step.inputs},
            queries=_queries(run.inputs.get("queries")),
            settings=config.method,
            iteration=iteration,
            seed=seed,
            engine=lambda folder: _journaled(run, folder),
            writer=session.writer() if step.kind == "sample" else None,
            progress=run.progress,
        )
        result = step.run(context)
        return StageOutcome(result.counts, result.measures, result.tokens)

    transient = step.kind == "train" and step.name != last_train
    prunable: tuple[str, ...] = ()
    if transient and not config.storage.keep_generators:
        prunable = (MODEL,)
    if not transient and step.kind == "train" and config.storage.keep_policies == "last":
        prunable = (MODEL,) if iteration < config.effective_iterations else ()
    return Stage(
        id=f"{prefix}{arm.name}/iter-{iteration}/{step.name}",
        kind=step.kind,
        inputs=needed,
        settings=_settings(step, config),
        work=work,
        seed=seed,
        iteration=iteration,
        arm=arm.name,
        prunable=prunable,
    )


def _settings(step: Step, config: RunConfig) -> dict[str, object]:
    """The sections the step depends on; what only moves speed or logging is left out."""
    sections = config.method.model_dump(include=set(step.settings))
    training = sections.get("training")
    if isinstance(training, dict):
        for key in ("checkpoint_every", "report_to"):
            training.pop(key, None)
    found: dict[str, object] = dict(sections)
    file = config.principles.file
    if "principles" in step.settings and file is not None:
        found["principles_file"] = file_sha256(Path(file))
    if step.kind == "sample":
        found["engine"] = {"kind": config.engine.kind, "dtype": config.engine.dtype}
        if config.writer.model is not None:
            found["writer"] = config.writer.model_dump()
    return found


def _queries(folder: Path | None) -> list[Query]:
    if folder is None:
        return []
    return [Query.model_validate(row) for row in read_json_lines(folder / "queries.jsonl")]


def _journaled(run: StageRun, folder: Path) -> ResumableEngine:
    from harness.engines import ResumableEngine

    return ResumableEngine(run.session.engine(folder), run.folder / "generations.jsonl")
