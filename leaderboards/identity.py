"""Who is who among several runs: which runs are seeds of one experiment, and what each is called.

A figure belongs to (group, arm, loss, seed, iteration). A group is one experiment: runs of one model
and one set of settings that differ in seeds, arms or iterations only. Its name is the model's, and
where two groups share a model, also what differs between them (``lr 1e-6``), else the run's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leaderboards.benchmark_info import ArmInfo
from leaderboards.legacy_info import arm_info
from leaderboards.runs import Run

SECTIONS = ("mode", "loss", "training", "sampling", "principles", "queries", "preferences")
"""Sections of a configuration that tell two experiments on one model apart."""
SHORT = {"learning_rate": "lr", "batch_size": "batch", "max_new_tokens": "new tokens"}
SHOWN_DIFFERENCES = 3


@dataclass(frozen=True)
class Arms:
    """How the arms of several runs are shown."""

    known: Mapping[str, ArmInfo] = field(default_factory=dict)

    def info(self, arm: str) -> ArmInfo:
        """How one arm is shown."""
        return self.known.get(arm) or arm_info(arm)

    def title(self, arm: str) -> str:
        """An arm as a table prints it."""
        return self.info(arm).title

    def in_order(self, arms: Iterable[str], first: Sequence[str] = ()) -> list[str]:
        """Arms in table order: base, those in ``first``, the others by place and name."""
        rank = {arm: position - len(first) for position, arm in enumerate(first)}
        return sorted(
            set(arms),
            key=lambda arm: (arm != "base", rank.get(arm, self.info(arm).order), arm),
        )


def arms_of_records(records: Iterable[Mapping[str, Any]]) -> Arms:
    """The arms as the records of a frame state them."""
    return Arms({record["arm"]: record["arm_info"] for record in records})


def arms_of_runs(runs: Iterable[Run]) -> Arms:
    """The arms as the runs state them."""
    return Arms({arm: run.arm_info(arm) for run in runs for arm in run.arms})


def group_names(runs: Sequence[Run]) -> list[str]:
    """The name of each run's group, in the order of ``runs``."""
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if all(_one_experiment(run, other) for other in group):
                group.append(run)
                break
        else:
            groups.append([run])
    titles = _distinct(groups)
    return [
        next(t for t, g in zip(titles, groups, strict=True) if any(run is one for one in g))
        for run in runs
    ]


def _distinct(groups: Sequence[Sequence[Run]]) -> list[str]:
    models = [shown_model(group[0]) for group in groups]
    titles = list(models)
    for model in set(models):
        same = [i for i, name in enumerate(models) if name == model]
        if len(same) < 2:
            continue
        settings = [_flat(settings_of(groups[i][0])) for i in same]
        wanted = [_difference(own, settings) for own in settings]
        if len(set(wanted)) < len(same) or "" in wanted:
            wanted = _unique([groups[i][0].name for i in same])
        for i, text in zip(same, wanted, strict=True):
            titles[i] = f"{model} · {text}"
    return titles


def _unique(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def _one_experiment(first: Run, second: Run) -> bool:
    """Whether two runs are parts of one experiment: no checkpoint is in both (but a base whose figures
    agree), and nothing but seeds, arms, iterations and the kind of loss differs."""
    mine, theirs = settings_of(first), settings_of(second)
    losses = [{loss for _, loss, _, _ in run.checkpoints} for run in (first, second)]
    if losses[0] != losses[1]:
        mine, theirs = _without(mine, "loss"), _without(theirs, "loss")
    if first.model != second.model or not (first.checkpoints or second.checkpoints):
        return False
    if first.checkpoints and second.checkpoints and mine != theirs:
        return False
    ours, others = first.base_figures, second.base_figures
    agree = all(ours[key] == others[key] for key in ours.keys() & others.keys())
    return agree and not first.checkpoints & second.checkpoints


def settings_of(run: Run) -> dict[str, Any]:
    """The settings that the finished stages of a run recorded, else those of its configuration."""
    config = run.info.get("config")
    found = {k: config[k] for k in SECTIONS if k in config} if isinstance(config, dict) else {}
    for stage in run.stages:
        settings = stage.get("settings")
        if stage.get("kind") in ("train", "sample") and isinstance(settings, dict):
            found.update({k: settings[k] for k in SECTIONS if k in settings})
    return found


def _without(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != name}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        found.update(_flat(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return found


_IGNORED = ("checkpoint_every", "report_to", "micro_tokens", "gradient_checkpointing")


def _difference(own: Mapping[str, Any], settings: Sequence[Mapping[str, Any]]) -> str:
    """What of a run's settings differs from another's, as a title has it; empty for nothing."""
    keys = dict.fromkeys(key for one in settings for key in one)
    varying = [
        key
        for key in keys
        if key.rsplit(".", 1)[-1] not in _IGNORED
        and len({repr(one.get(key)) for one in settings}) > 1
    ]
    shown = [f"{_short(key)} {_value(own.get(key))}" for key in varying[:SHOWN_DIFFERENCES]]
    return ", ".join(shown)


def _short(key: str) -> str:
    last = key.rsplit(".", 1)[-1]
    if last == "kind":
        last = key.split(".")[-2] if "." in key else key
    return SHORT.get(last, last.replace("_", " "))


def _value(value: Any) -> str:
    if isinstance(value, float):
        return re.sub(r"e([+-])0*(\d)", r"e\1\2", f"{value:g}").replace("e+", "e")
    return str(value)[:24]


def shown_model(run: Run) -> str:
    """A run's starting model as a reader knows it: a hub's name, a folder's last part, and for a
    checkpoint of this tool the run, arm and iteration that made it."""
    name = run.model or next(
        (score.model for found in run.evaluations for score in found.scores if score.model), ""
    )
    return shown_name(name) if name else run.name


def shown_name(model: str) -> str:
    """``shown_model`` of a name or path."""
    parts = [part for part in model.rstrip("/").split("/") if part]
    for place, part in enumerate(parts):
        if re.fullmatch(r"iter-\d+", part) and place >= 1:
            before = [p for p in parts[: place - 1] if not p.startswith("seed-")]
            made = [*before[-1:], arm_info(parts[place - 1]).title, f"Iter{part[5:]}"]
            step = parts[place + 1] if len(parts) > place + 1 else ""
            return " ".join([*made, *(["generator"] if step == "generator" else [])])
    if model.startswith(("/", "./", "../", "~")) and parts:
        generic = parts[-1] == "model" and len(parts) > 1
        return "/".join(parts[-2:]) if generic else parts[-1]
    return model
