"""What a history shows: series of comparable figures, as text, with change points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from groundwork.errors import UserError
from leaderboards.history import DEFAULT_URL, History
from leaderboards.identity import shown_name
from leaderboards.layouts import DECIMALS
from leaderboards.legacy_info import arm_info
from leaderboards.score_frame import item_and_seed_errors
from leaderboards.statistics.changes import Change, change_points


@dataclass(frozen=True)
class Observation:
    """One run's figure in a series."""

    created: str
    run: str
    commit: str
    branch: str
    value: float
    stderr: float | None


@dataclass(frozen=True)
class Series:
    """Comparable figures in time order: one model, arm, benchmark, metric and protocol.

    Of each run the last iteration of the arm counts, and the mean over its seeds.
    """

    model: str
    arm: str
    benchmark: str
    metric: str
    unit: str
    protocol: str
    points: tuple[Observation, ...]

    @property
    def title(self) -> str:
        arm = "" if self.arm == "base" else f" · {arm_info(self.arm).title}"
        return f"{self.benchmark} {self.metric} ({self.unit}) · {shown_name(self.model)}{arm}"

    def changes(self) -> list[Change]:
        """Significant level shifts (see ``leaderboards.statistics.changes``)."""
        errors = [point.stderr for point in self.points]
        known = [error for error in errors if error is not None and error > 0]
        complete = known if len(known) == len(errors) else None
        return change_points([point.value for point in self.points], complete)


Key = tuple[str, str, str, str, str, str]
Row = dict[str, Any]


def series(
    url: str | Path = DEFAULT_URL,
    *,
    benchmarks: Sequence[str] = (),
    model: str | None = None,
    branch: str | None = None,
) -> list[Series]:
    """The headline series of a history; UserError when nothing fits."""
    found: dict[Key, list[Observation]] = {}
    with History(url, only_read=True) as history:
        for run, scores in history.records():
            if branch is None or run["branch"] == branch:
                for key, rows in _last_rows(scores).items():
                    found.setdefault(key, []).append(_observation(run, rows))
    made = [Series(*key, points=tuple(points)) for key, points in found.items()]
    chosen = [
        one
        for one in made
        if (not benchmarks or one.benchmark in benchmarks) and model in (None, one.model)
    ]
    if not chosen:
        known = ", ".join(sorted({one.benchmark for one in made})) or "no scores"
        raise UserError(f"the history {url} has nothing that fits; it has {known}")
    return sorted(chosen, key=lambda one: (one.model, one.benchmark, one.arm, one.protocol))


def _last_rows(scores: Sequence[Row]) -> dict[Key, list[Row]]:
    """The headline figures of each arm's last iteration in one run, one per seed."""
    found: dict[Key, list[Row]] = {}
    for row in scores:
        if not row["headline"] or row["category"] or row["value"] is None:
            continue
        model, arm, benchmark = str(row["model"]), str(row["arm"]), str(row["benchmark"])
        key = (model, arm, benchmark, str(row["metric"]), str(row["unit"]), str(row["protocol"]))
        found.setdefault(key, []).append(row)
    for key, rows in found.items():
        last = max(row["iteration"] for row in rows)
        found[key] = [row for row in rows if row["iteration"] == last]
    return found


def _observation(run: Row, rows: Sequence[Row]) -> Observation:
    """One point: the mean over the seeds of a run, with the errors of items and of seeds."""
    values = [row["value"] for row in rows]
    stderr = rows[0]["stderr"]
    if len(rows) > 1:
        stderr = math.hypot(*item_and_seed_errors(values, [row["stderr"] for row in rows]))
    commit = (run["git_commit"] or "")[:9] + ("+" if run["dirty"] else "")
    branch = run["branch"] or ""
    return Observation(run["created"], run["name"], commit, branch, fmean(values), stderr)


def show(
    url: str | Path = DEFAULT_URL,
    *,
    benchmarks: Sequence[str] = (),
    model: str | None = None,
    branch: str | None = None,
    last: int = 10,
) -> str:
    """The last figures of every series as text, with level shifts marked."""
    lines = []
    for one in series(url, benchmarks=benchmarks, model=model, branch=branch):
        decimals = DECIMALS[one.unit]
        shifts = {change.index: change for change in one.changes()}
        lines += [one.title, f"  protocol {one.protocol}"]
        first = max(0, len(one.points) - last)
        for index, point in enumerate(one.points[first:], first):
            error = "" if point.stderr is None else f" ±{point.stderr:.{decimals}f}"
            shift = shifts.get(index)
            shifted = "" if shift is None else f"  ← level shift {shift.difference:+.{decimals}f}"
            where = " ".join(part for part in (point.commit, point.branch) if part)
            value = f"{point.value:.{decimals}f}{error}"
            lines.append(f"  {point.created[:19]}  {point.run:24}  {where:20}  {value}{shifted}")
        lines.append("")
    return "\n".join(lines)
