"""Lays out the plan: base, then arm by arm and iteration by iteration."""

from __future__ import annotations

from harness.config import RunConfig
from harness.data.sources import DataSource
from harness.models import ResolvedModel
from harness.stage import Source, Stage
from harness.stages.draw_queries import preferences_stage, queries_stage
from harness.stages.evaluate import eval_stage
from harness.stages.pair_accuracy import pair_accuracy_stage
from harness.stages.training import MODEL, step_stage
from sso.arms import Arm, get_arm


def build_plan(config: RunConfig, model: ResolvedModel, data: DataSource) -> list[Stage]:
    """Every stage of the experiment in the order in which it runs.

    Raises:
        UserError: unknown benchmark or protocol, or data that can't be used.
        UserError: unknown arm.
    """
    base = Source(path=model.path, fingerprint=model.fingerprint)
    judge_id = judge_identity(config, model)
    plan: list[Stage] = []
    if config.evaluate_base:
        plan += [
            eval_stage(
                config,
                data,
                name,
                judge_id,
                stage_id=f"base/eval/{name}",
                model=base,
                arm="base",
                iteration=0,
                seed=config.seeds[0],
            )
            for name in config.benchmarks
        ]
    arms = [get_arm(name) for name in config.methods]
    for seed in config.seeds:
        plan += _seed_stages(config, data, arms, base, judge_id, seed)
    return plan


def judge_identity(config: RunConfig, model: ResolvedModel) -> str:
    """What a verdict depends on besides the prompt: which judge answered."""
    if config.judge.name == "local":
        return f"local:{model.fingerprint[:16]}"
    server = f"@{config.judge.base_url}" if config.judge.base_url else ""
    return f"{config.judge.name}{server}"


def _seed_stages(
    config: RunConfig, data: DataSource, arms: list[Arm], base: Source, judge_id: str, seed: int
) -> list[Stage]:
    prefix = f"seed-{seed}/" if len(config.seeds) > 1 else ""
    plan: list[Stage] = []
    if any(arm.uses_queries for arm in arms) and config.effective_iterations:
        plan.append(queries_stage(data, config, seed, f"{prefix}queries"))
    if any(arm.uses_preferences for arm in arms) and config.effective_iterations:
        plan.append(preferences_stage(data, config, seed, f"{prefix}preferences"))
    for arm in arms:
        policy = base
        for iteration in range(1, config.effective_iterations + 1):
            stages, policy = _iteration(
                config, data, arm, policy, base, judge_id, seed, prefix, iteration
            )
            plan += stages
    return plan


def _iteration(
    config: RunConfig,
    data: DataSource,
    arm: Arm,
    policy: Source,
    base: Source,
    judge_id: str,
    seed: int,
    prefix: str,
    iteration: int,
) -> tuple[list[Stage], Source]:
    """The stages of one iteration, and where the next policy comes from."""
    folder = f"{prefix}{arm.name}/iter-{iteration}"
    sources = {
        "policy": policy,
        "queries": Source(stage=f"{prefix}queries", output=f"iter-{iteration}"),
        "preferences": Source(stage=f"{prefix}preferences", output=f"iter-{iteration}"),
    }
    plan = []
    for step in arm.steps:
        plan.append(
            step_stage(
                arm, step, config, prefix=prefix, iteration=iteration, seed=seed, sources=sources
            )
        )
        output = MODEL if step.kind == "train" else ""
        sources[step.name] = Source(stage=f"{folder}/{step.name}", output=output)
        if step.kind == "train":
            policy = sources[step.name]
    plan.append(
        pair_accuracy_stage(
            config,
            judge_id,
            stage_id=f"{folder}/pair_accuracy",
            pairs=Source(stage=f"{folder}/{arm.judged}", output="pairs.jsonl"),
            inputs={},
            arm=arm.name,
            iteration=iteration,
            seed=seed,
        )
    )
    plan += [
        eval_stage(
            config,
            data,
            name,
            judge_id,
            stage_id=f"{folder}/eval/{name}",
            model=policy,
            arm=arm.name,
            iteration=iteration,
            seed=seed,
        )
        for name in config.benchmarks
    ]
    return plan, policy
