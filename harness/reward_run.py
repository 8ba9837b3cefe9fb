"""``sso-bench reward``: a reward model from any mix of preference pairs, and its benchmarks, as a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from groundwork.files import write_atomic, write_json
from harness.config import RunConfig
from harness.data import open_source
from harness.experiment import git_state
from harness.prepare import IDENTITY, named_model
from harness.progress import Reporter
from harness.resources import Resources
from harness.run_folder import SCHEMA, RunFolder, now
from harness.runner import Runner, RunSummary
from harness.stage import CheckpointKey, PlanInputs, Source, Stage
from harness.stage_runner import package_versions
from harness.stages.evaluate import eval_stage
from harness.stages.reward_training import (
    MODEL,
    PairSet,
    mix_name,
    mix_stage,
    pair_set,
    reward_stage,
)


def reward_plan(inputs: PlanInputs, sets: list[PairSet], name: str) -> list[Stage]:
    """Pairs, training and benchmarks of the reward model called ``name``, for every seed."""
    config = inputs.config
    plan: list[Stage] = []
    for seed in config.seeds:
        prefix = f"seed-{seed}/" if len(config.seeds) > 1 else ""
        key = CheckpointKey(name, 1, seed, prefix)
        plan += [mix_stage(sets, key), reward_stage(inputs, key, inputs.base)]
        trained = Source(stage=f"{key.folder}/reward", output=MODEL)
        plan += [eval_stage(inputs, benchmark, key, trained) for benchmark in config.benchmarks]
    return plan


def prepare_reward(config: RunConfig, reporter: Reporter) -> tuple[PlanInputs, list[Stage], str]:
    """The model, the mix and the plan.

    Raises:
        UserError: a part of the mix that is not there or has other columns, a model that can't be used
            or is a reward model already, a benchmark that needs a model that writes text.
    """
    from groundwork.errors import UserError
    from harness.benchmarks import get_benchmark
    from harness.models import resolve_model
    from sso.reward_checkpoint import refuse_reward_model

    if not config.reward.data:
        raise UserError("a reward model needs pairs: --data skywork, --data FILE or --data run:RUN")
    for name in config.benchmarks:
        if get_benchmark(name).info.measures != "reward":
            raise UserError(
                f"{name} needs a model that writes text: a reward model gives scores only"
            )
    data = open_source(config.data)
    sets = [pair_set(spec, data) for spec in config.reward.data]
    model = resolve_model(named_model(config), log=reporter.say)
    refuse_reward_model(model.path)
    inputs = PlanInputs(config, data, model)
    name = config.reward.name or mix_name(sets)
    return inputs, reward_plan(inputs, sets, name), name


def run_reward(
    config: RunConfig,
    out: Path,
    reporter: Reporter,
    *,
    redo: bool = False,
    others: Sequence[RunFolder] = (),
) -> RunSummary:
    """Train and evaluate in ``out``; the same call resumes. ``others`` as in ``run_experiment``. Raises
    as ``prepare_reward``."""
    from leaderboards import render_table

    folder = RunFolder(out)
    folder.check_owner({key: getattr(config, key) for key in IDENTITY})
    inputs, plan, name = prepare_reward(config, reporter)
    with folder.lock():
        resources = Resources(config, inputs.model, inputs.data, reporter.say, folder.run_id())
        runner = Runner(folder, plan, resources, reporter, redo, others)
        runner.check()
        _describe(folder, inputs, plan, name, resources.run_id)
        try:
            summary = runner.execute()
        finally:
            resources.close()
        if config.benchmarks:
            for form in ("md", "csv"):
                text = render_table([out], "reward-models", form)
                write_atomic(out / "tables" / f"reward-models.{form}", text)
    return summary


def _describe(
    folder: RunFolder, inputs: PlanInputs, plan: list[Stage], name: str, run_id: str
) -> None:
    old = folder.description() or {}
    config = inputs.config
    arms = list(dict.fromkeys([*old.get("arms", []), name]))
    info = {"title": name.replace("+", " + "), "order": 200 + len(arms), "ablation": False}
    write_json(
        folder.root / "run.json",
        {
            "schema": SCHEMA,
            "id": run_id,
            "name": folder.root.name,
            "created": old.get("created", now()),
            "config": json.loads(config.model_dump_json()),
            "versions": package_versions(),
            "git": git_state(),
            "model": config.model,
            "model_fingerprint": inputs.model.fingerprint,
            "model_source": inputs.model.source,
            "data": inputs.data.label,
            "arms": arms,
            "arm_info": {**old.get("arm_info", {}), name: info},
            "iterations": 1,
            "seeds": list(config.seeds),
            "benchmarks": list(config.benchmarks),
            "stages": list(dict.fromkeys([*old.get("stages", []), *(s.id for s in plan)])),
        },
    )
