"""Training as tables: the filter funnel, and how often each principle feature was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leaderboards.identity import group_names
from leaderboards.report.facts import Facts
from leaderboards.runs import Run, stage_place, stage_seed

REASONS = {
    "no_room": "no room in the context",
    "empty": "empty answer",
    "identical": "both answers equal",
    "equals_original": "equal to the plain answer",
    "truncated": "cut at the token limit",
    "leaks_role": "names its role",
    "leaks_guidelines": "talks about the guidelines",
}


def training_tables(runs: Sequence[Run]) -> list[Facts]:
    """The tables that the runs have something for."""
    return [table for table in (funnel(runs), features(runs)) if table.rows]


def funnel(runs: Sequence[Run]) -> Facts:
    """From sampled queries to trained pairs, stage by stage, with the reasons for leaving one out."""
    stages = [(name, stage) for name, stage in _stages(runs) if stage.get("kind") == "sample"]
    trained = {name.rsplit("/", 1)[0]: stage for name, stage in _stages(runs) if _trains(stage)}
    reasons = [
        key
        for key in dict.fromkeys(key for _, stage in stages for key in _counts(stage))
        if key.startswith("dropped_") and any(_counts(stage).get(key) for _, stage in stages)
    ]
    rows = []
    for name, stage in stages:
        counts = _counts(stage)
        policy = _counts(trained.get(name.rsplit("/", 1)[0], {}))
        dropped = [int(counts.get(key, 0)) for key in reasons]
        sampled = int(counts.get("queries", counts.get("pairs", 0) + sum(dropped)))
        feeds = policy.get("pairs") if _last_of_its_iteration(name, stages) else None
        rows.append([name, sampled, *dropped, int(counts.get("pairs", 0)), feeds])
    heads = ["Stage", "Sampled"]
    heads += [f"Left out: {REASONS.get(key[8:], key[8:].replace('_', ' '))}" for key in reasons]
    return Facts("Filter funnel", [*heads, "Pairs kept", "Pairs trained on"], rows)


def features(runs: Sequence[Run]) -> Facts:
    """How often each feature was drawn for a query's principles, by sampling stage."""
    stages = [(name, _counts(stage)) for name, stage in _stages(runs)]
    stages = [
        (name, counts) for name, counts in stages if any(k.startswith("feature_") for k in counts)
    ]
    keys = sorted({key for _, counts in stages for key in counts if key.startswith("feature_")})
    heads = ["Stage", *(key.removeprefix("feature_").replace("_", " ") for key in keys)]
    rows = [[name, *(int(counts.get(key, 0)) for key in keys)] for name, counts in stages]
    return Facts("Features of the principles, times drawn", heads, rows)


def _stages(runs: Sequence[Run]) -> list[tuple[str, dict[str, Any]]]:
    groups = group_names(runs)
    several = len(runs) > 1
    found = []
    for run, group in zip(runs, groups, strict=True):
        for stage in run.stages:
            name = str(stage.get("stage", ""))
            place = stage_place(name)
            if place:
                seed = f"{stage_seed(name)} " if stage_seed(name) else ""
                shown = f"{seed}{run.arm_info(place[0]).title} {place[1]}/{name.rsplit('/', 1)[1]}"
                found.append((f"{group} ({run.name}): {shown}" if several else shown, stage))
    return found


def _counts(stage: dict[str, Any]) -> dict[str, Any]:
    counts = stage.get("counts")
    return counts if isinstance(counts, dict) else {}


def _trains(stage: dict[str, Any]) -> bool:
    return stage.get("kind") == "train" and not str(stage.get("stage", "")).endswith("/generator")


def _last_of_its_iteration(name: str, stages: Sequence[tuple[str, dict[str, Any]]]) -> bool:
    place = name.rsplit("/", 1)[0]
    return [other for other, _ in stages if other.rsplit("/", 1)[0] == place][-1] == name
