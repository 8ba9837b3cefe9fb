"""The stages of a run with their work and what each waits for, from the configuration alone.

``harness.plan.build_plan`` lays the same stages from data and model; here neither is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.config import RunConfig
from sso.arms import Arm, get_arm

FILE = Path(__file__).parent / "facts.yaml"
PROMPT, PRINCIPLES, WRITING, ANSWER = 60, 250, 500, 400
"""Assumed tokens: a query with its template; two principles; a request for principles; an answer."""
JUDGE_PROMPT = 1000
"""Assumed tokens of a judge's prompt."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage by its id: what it waits for, its tokens by kind of work, its judge calls. ``trains`` is the
    kind of training (``pair``, ``generator``, ``joint``); ``model`` another model than the policy."""

    id: str
    kind: Literal["sample", "train", "eval", "judge", "data"]
    after: tuple[str, ...] = ()
    prompt: int = 0
    new: int = 0
    train: int = 0
    judge_calls: int = 0
    trains: str = ""
    model: str = ""


def planned_stages(config: RunConfig, queries: int | None = None) -> list[PlannedStage]:
    """Every stage in the order in which it runs; ``queries`` is the number of the query set, if known."""
    facts = _facts()
    total = queries or int(facts["queries"])
    plan: list[PlannedStage] = []
    if config.evaluate_base:
        plan += [_evaluation(config, name, "base") for name in config.benchmarks]
    arms = [get_arm(name) for name in config.methods]
    count = config.effective_iterations
    for seed in config.seeds if count else ():
        prefix = f"seed-{seed}/" if len(config.seeds) > 1 else ""
        share = config.queries.per_iteration or max(1, total // max(config.iterations, 1))
        share = total if config.mode == "offline" and not config.queries.per_iteration else share
        if any(arm.uses_queries for arm in arms):
            plan.append(PlannedStage(f"{prefix}queries", "data"))
            if config.writes_principles_apart:
                plan += [_writing(config, prefix, i, share) for i in range(1, count + 1)]
        if any(arm.uses_preferences for arm in arms):
            plan.append(PlannedStage(f"{prefix}preferences", "data"))
        for arm in arms:
            plan += _arm(config, arm, prefix, share)
    return plan


def critical_path(
    plan: Sequence[PlannedStage], seconds: dict[str, float]
) -> tuple[float, list[str]]:
    """The longest chain of stages that wait for each other: its seconds, and its ids."""
    best: dict[str, tuple[float, list[str]]] = {}
    for stage in plan:
        before = max((best[name] for name in stage.after if name in best), default=(0.0, []))
        best[stage.id] = (before[0] + seconds[stage.id], [*before[1], stage.id])
    return max(best.values(), default=(0.0, []))


def _arm(config: RunConfig, arm: Arm, prefix: str, share: int) -> list[PlannedStage]:
    plan: list[PlannedStage] = []
    policy = ""
    for iteration in range(1, config.effective_iterations + 1):
        folder = f"{prefix}{arm.name}/iter-{iteration}"
        names = {"policy": policy}
        trained = [s.name for s in arm.steps if s.kind == "train"]
        for step in arm.steps:
            after = [names[name] for name in step.inputs if names.get(name)]
            if arm.uses_queries and step.kind == "sample":
                after.append(f"{prefix}queries")
                if config.writes_principles_apart:
                    after.append(f"{prefix}principles-{iteration}")
            if "preferences" in step.inputs:
                after.append(f"{prefix}preferences")
            stage = f"{folder}/{step.name}"
            if step.kind == "train":
                kind = training_kind(arm, step.name, len(trained))
                plan.append(_training(config, stage, after, step.name, kind, share))
                policy = stage
            else:
                plan.append(_sampling(config, stage, after, step.name, arm, share))
            names[step.name] = stage
        calls = 2 * (config.pair_accuracy.limit or share)
        judged = names[arm.judged]
        plan.append(PlannedStage(f"{folder}/pair_accuracy", "judge", (judged,), judge_calls=calls))
        plan += [_evaluation(config, name, folder, policy) for name in config.benchmarks]
    return plan


def training_kind(arm: Arm, step: str, trainings: int) -> str:
    """What a training step of an arm with so many is: ``pair``, ``generator`` or ``joint``."""
    if trainings > 1:
        return "generator" if step == "generator" else "pair"
    return "joint" if arm.name == "sso-joint" or arm.name.startswith("without-") else "pair"


def _training(
    config: RunConfig, stage: str, after: Sequence[str], step: str, kind: str, share: int
) -> PlannedStage:
    answer = min(config.sampling.max_new_tokens, ANSWER)
    queries = min(config.queries.generator or share, share) if step == "generator" else share
    per_query = {
        "pair": PROMPT + 2 * answer,
        "generator": 2 * (PROMPT + PRINCIPLES) + 4 * answer,
        "joint": 3 * PROMPT + 2 * PRINCIPLES + 6 * answer,
    }[kind]
    epochs = config.training.of_step(step).epochs
    tokens = int(queries * per_query * epochs)
    return PlannedStage(stage, "train", tuple(after), train=tokens, trains=kind)


def _sampling(
    config: RunConfig, stage: str, after: Sequence[str], step: str, arm: Arm, share: int
) -> PlannedStage:
    answer = min(config.sampling.max_new_tokens, ANSWER)
    if not arm.uses_queries:  # annotated pairs: yo is sampled, three texts are scored
        texts = share * (PROMPT + answer)
        sampled = share * answer * config.sampling.measure_original
        return PlannedStage(stage, "sample", tuple(after), prompt=3 * texts, new=sampled)
    contexts = 3 if step == "sample" else 2
    prompt = share * contexts * (PROMPT + PRINCIPLES)
    new = share * contexts * answer
    if config.sampling.on_policyness:
        prompt += share * contexts * (PROMPT + answer)
    if step == "sample" and not config.writes_principles_apart:
        requests = (config.principles.select == "policy") + (
            config.principles.source == "generated"
        )
        prompt += share * requests * WRITING
        new += share * requests * PRINCIPLES // 2
    return PlannedStage(stage, "sample", tuple(after), prompt=prompt, new=new)


def _writing(config: RunConfig, prefix: str, iteration: int, share: int) -> PlannedStage:
    return PlannedStage(
        f"{prefix}principles-{iteration}",
        "sample",
        (f"{prefix}queries",),
        prompt=share * WRITING,
        new=share * PRINCIPLES,
        model=config.writer.model or "",
    )


def _evaluation(config: RunConfig, name: str, folder: str, policy: str = "") -> PlannedStage:
    facts = _facts()
    items, prompt, new, calls = facts["benchmarks"].get(name, facts["other_benchmark"])
    items = min(items, config.benchmarks[name].limit or items)
    return PlannedStage(
        f"{folder}/eval/{name}",
        "eval",
        (policy,) if policy else (),
        prompt=items * prompt,
        new=items * new,
        judge_calls=items * calls,
    )


@lru_cache(maxsize=1)
def _facts() -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return raw
