"""The plan of an experiment (base first, then arm by arm and iteration by iteration) and its status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groundwork.addresses import without_secrets_in
from groundwork.files import json_form
from harness.run_folder import RunFolder, StageRecord
from harness.stage import CheckpointKey, PlanInputs, Source, Stage
from harness.stages.arm_step import MODEL, arm_step_stage
from harness.stages.draw_queries import (
    generator_queries,
    policy_queries,
    preferences_stage,
    queries_stage,
)
from harness.stages.evaluate import eval_stage
from harness.stages.pair_accuracy import pair_accuracy_stage
from harness.stages.write_principles import principles_stage
from sso.arms import Arm, get_arm
from sso.settings import SPEED_ONLY

CHANGED = "redone, changed: "
DAMAGED = "redone, "


def build_plan(inputs: PlanInputs) -> list[Stage]:
    """Every stage of the experiment in the order in which it runs.

    Raises:
        UserError: unknown arm, benchmark or protocol, or data that can't be used.
    """
    config = inputs.config
    plan: list[Stage] = []
    if config.evaluate_base:
        key = CheckpointKey("base", 0, config.seeds[0])
        plan += [eval_stage(inputs, name, key, inputs.base) for name in config.benchmarks]
    arms = [get_arm(name) for name in config.methods]
    for seed in config.seeds:
        plan += _seed_stages(inputs, arms, seed)
    return plan


def _seed_stages(inputs: PlanInputs, arms: list[Arm], seed: int) -> list[Stage]:
    config = inputs.config
    prefix = f"seed-{seed}/" if len(config.seeds) > 1 else ""
    plan: list[Stage] = []
    if any(arm.uses_queries for arm in arms) and config.effective_iterations:
        plan.append(queries_stage(inputs, seed, f"{prefix}queries"))
        if config.writes_principles_apart:
            plan += [
                principles_stage(inputs, seed, number, prefix, f"{prefix}queries")
                for number in range(1, config.effective_iterations + 1)
            ]
    if any(arm.uses_preferences for arm in arms) and config.effective_iterations:
        plan.append(preferences_stage(inputs, seed, f"{prefix}preferences"))
    for arm in arms:
        policy = inputs.base
        for iteration in range(1, config.effective_iterations + 1):
            key = CheckpointKey(arm.name, iteration, seed, prefix)
            stages, policy = _iteration(inputs, arm, key, policy)
            plan += stages
    return plan


def _iteration(
    inputs: PlanInputs, arm: Arm, key: CheckpointKey, policy: Source
) -> tuple[list[Stage], Source]:
    """The stages of one iteration, and the source of the next policy."""
    sources = {
        "policy": policy,
        "queries": Source(stage=f"{key.prefix}queries", output=policy_queries(key.iteration)),
        "generator_queries": Source(
            stage=f"{key.prefix}queries", output=generator_queries(key.iteration)
        ),
        "preferences": Source(stage=f"{key.prefix}preferences", output=f"iter-{key.iteration}"),
    }
    if inputs.config.writes_principles_apart:
        sources["principles"] = Source(
            stage=f"{key.prefix}principles-{key.iteration}", output="principles.jsonl"
        )
    plan = []
    for step in arm.steps:
        plan.append(arm_step_stage(inputs, arm, step, key, sources))
        output = MODEL if step.kind == "train" else ""
        sources[step.name] = Source(stage=f"{key.folder}/{step.name}", output=output)
        if step.kind == "train":
            policy = sources[step.name]
    pairs = Source(stage=f"{key.folder}/{arm.judged}", output="pairs.jsonl")
    plan.append(pair_accuracy_stage(inputs, key, pairs))
    plan += [eval_stage(inputs, name, key, policy) for name in inputs.config.benchmarks]
    return plan, policy


def reason_to_run(
    run: RunFolder, stage: Stage, records: Mapping[str, StageRecord]
) -> tuple[str, StageRecord | None]:
    """Why a stage has to run (``""`` when it is done and valid), and its record.

    ``records`` holds the records of the finished stages that it reads.

    Raises:
        KeyError: the record of an input is missing.
    """
    folder = run.stage(stage.id)
    record = folder.record()
    if record is None:
        damage = folder.record_damage()
        return (f"{DAMAGED}{damage}" if damage else "started"), None
    changed = changes(record, stage, input_fingerprints(stage, records))
    if changed:
        return f"{CHANGED}{changed}", record
    if record.status != "done":
        return "resumed", record
    damage = folder.damage(record)
    return (f"{DAMAGED}{damage}" if damage else ""), record


def would_be_redone(run: RunFolder, plan: Sequence[Stage]) -> dict[str, str]:
    """The finished stages that a run of the plan would replace because of changed settings, with the
    change. Drawing the data costs nothing and is left out, and what reads it is judged later."""
    status = plan_status(run, plan)
    return {
        stage.id: status[stage.id][0].removeprefix(CHANGED)
        for stage in plan
        if replaces(stage, *status[stage.id])
    }


def replaces(stage: Stage, reason: str, record: StageRecord | None) -> bool:
    """Whether running the stage would replace finished results of other settings."""
    finished = record is not None and record.status == "done"
    return finished and reason.startswith(CHANGED) and stage.kind != "data"


def plan_status(run: RunFolder, plan: Sequence[Stage]) -> dict[str, tuple[str, StageRecord | None]]:
    """``reason_to_run`` of every stage as things are now; nothing is changed."""
    records: dict[str, StageRecord] = {}
    found: dict[str, tuple[str, StageRecord | None]] = {}
    for stage in plan:
        try:
            found[stage.id] = reason_to_run(run, stage, records)
        except KeyError:
            found[stage.id] = ("waits for earlier stages", None)
        reason, record = found[stage.id]
        if not reason and record is not None:
            records[stage.id] = record
    return found


def input_fingerprints(stage: Stage, records: Mapping[str, StageRecord]) -> dict[str, str]:
    """The fingerprint of each input, from the records of the stages that made it."""
    return {
        name: records[source.stage].output_digest(source.output or None)
        if source.stage
        else source.fingerprint
        for name, source in stage.inputs.items()
    }


def recorded_settings(stage: Stage) -> Any:
    """The stage's settings as its record holds them: in JSON's types, without secrets of addresses."""
    return without_secrets_in(json_form(stage.settings))


def changes(record: StageRecord, stage: Stage, inputs: Mapping[str, str]) -> str:
    """Differences between a record and the stage as it would run now (``""``: none)."""
    changed = [f"input {name}" for name in inputs if record.inputs.get(name) != inputs[name]]
    changed += [f"input {name}" for name in record.inputs if name not in inputs]
    settings = recorded_settings(stage)
    changed += _setting_changes(_as_of_now(record.settings, settings), settings)
    if record.seed != stage.seed:
        changed.append(f"seed {record.seed} -> {stage.seed}")
    return ", ".join(changed[:4]) + (", ..." if len(changed) > 4 else "")


def _as_of_now(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """A record's settings as this version records them: without what moves only speed, and with what
    ``auto`` stands for now where an older version wrote ``auto``."""
    found = dict(old)
    training, engine, now = found.get("training"), found.get("engine"), new.get("engine")
    if isinstance(training, dict):
        found["training"] = {k: v for k, v in training.items() if k not in SPEED_ONLY}
    if isinstance(engine, dict) and isinstance(now, dict):
        found["engine"] = {k: now.get(k) if v == "auto" else v for k, v in engine.items()}
    return found


def _setting_changes(old: Any, new: Any, key: str = "") -> list[str]:
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for name in dict.fromkeys([*old, *new]):
            inner = f"{key}.{name}" if key else name
            found += _setting_changes(old.get(name), new.get(name), inner)
        return found
    return [f"{key} {_shortened(old)} -> {_shortened(new)}"]


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."
