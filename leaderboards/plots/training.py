"""Plots of training: on-policyness of the pairs, curves, and cost against quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from groundwork.errors import UserError
from leaderboards.identity import arms_of_runs, group_names
from leaderboards.method_figures import (
    SIDES,
    Measures,
    gap_errors,
    gaps_of,
    probabilities_of,
)
from leaderboards.plots.style import (
    Line,
    Look,
    Record,
    band,
    grid,
    line_of,
    looks,
    one_legend,
    roomy,
    whole_numbers,
    whole_steps,
    with_bars,
)
from leaderboards.runs import Run, read_lines, stage_place, stage_seed
from leaderboards.score_frame import over_seeds

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[Line, int, str]
"""(line, iteration, step)."""
Place = tuple[Line, int]
"""A checkpoint: (line, iteration)."""


def policyness_figure(frame: pd.DataFrame, runs: Sequence[Run]) -> Figure:
    """Pair accuracy, and average log-probability of the pairs' two sides, by iteration.

    The second panel shows chosen (solid) and rejected (dashed) minus the original answers: how far
    the pairs are from what the policy itself writes.
    """
    records = over_seeds(frame)
    accuracy = [r for r in records if r["info"].kind == "pairs" and r["value"] == r["value"]]
    measured, errors = _by_place(runs, gaps_of), _gap_errors(runs)
    if not accuracy and not measured:
        raise UserError("no pair accuracy and no on-policyness to plot")
    drawn = looks_of(runs)
    figure, (left, right) = grid(2)
    for line, look in drawn.items():
        rows = sorted((r for r in accuracy if line_of(r) == line), key=lambda r: r["iteration"])
        if rows:
            band(left, rows, look)
        _side_lines(right, line, measured, look, errors)
    left.set_ylabel("pair accuracy (percent)")
    right.set_ylabel("avg. log-prob. minus original")
    for axis in (left, right):
        axis.set_xlabel("iteration")
        whole_steps(axis)
    left.axhline(50, color="#888888", linewidth=0.8, linestyle=":")
    one_legend(figure, (left, right))
    return figure


def probability_figure(frame: pd.DataFrame, runs: Sequence[Run]) -> Figure:
    """Pair accuracy against the average probability of a token of y+ and of y- under the policy, by
    iteration: both high means right pairs that the policy itself would write."""
    accuracy = {
        (line_of(r), r["iteration"]): r
        for r in over_seeds(frame)
        if r["info"].kind == "pairs" and r["value"] == r["value"]
    }
    measured = _by_place(runs, probabilities_of)
    places = [place for place in accuracy if place in measured]
    if not places:
        raise UserError("no pair accuracy with average probabilities to plot")
    drawn = looks_of(runs)
    figure, axes = grid(2)
    for axis, side, name in zip(axes, SIDES, ("y+", "y-"), strict=True):
        for line, look in drawn.items():
            steps = sorted(step for other, step in places if other == line)
            x = [measured[line, step][side] for step in steps]
            rows = [accuracy[line, step] for step in steps]
            if rows:
                with_bars(axis, x, rows, look)
            for step, at, row in zip(steps, x, rows, strict=True):
                axis.annotate(
                    str(step), (at, row["value"]), (4, 3), textcoords="offset points", fontsize=6
                )
        axis.set_xlabel(f"average probability of {name} (percent)")
        axis.set_ylabel("pair accuracy (percent)")
        axis.axhline(50, color="#888888", linewidth=0.8, linestyle=":")
    one_legend(figure, axes)
    return figure


def lengths_figure(runs: Sequence[Run]) -> Figure:
    """Mean length of y+ (solid) and y- (dashed), in tokens, by iteration."""
    measured = _by_place(runs, _lengths)
    if not measured:
        raise UserError("no lengths of pairs to plot")
    drawn = looks_of(runs)
    figure, (axis,) = grid(1, width=4.2)
    for line, look in drawn.items():
        _side_lines(axis, line, measured, look)
    axis.set_xlabel("iteration")
    axis.set_ylabel("tokens")
    axis.set_ylim(0, 1.08 * axis.get_ylim()[1])
    whole_steps(axis)
    one_legend(figure, [axis], columns=2)
    return figure


def _side_lines(
    axis: Axes,
    line: Line,
    measured: Mapping[Place, Mapping[str, float]],
    look: Look,
    errors: Mapping[Place, Mapping[str, float]] | None = None,
) -> None:
    """A line per side of the pairs, with 95 % bars where their standard errors are known."""
    steps = sorted(iteration for other, iteration in measured if other == line)
    for side, dash in (("chosen", "-"), ("rejected", "--")):
        if not steps:
            continue
        values = [measured[line, step][side] for step in steps]
        face = look.style["color"] if side == "chosen" else "white"
        shape = {"linestyle": dash, "markerfacecolor": face, "linewidth": 1.2, **look.style}
        axis.plot(steps, values, label=f"{look.label} {side}", **shape)
        known = [(errors or {}).get((line, step), {}).get(side, 0.0) for step in steps]
        if any(known):
            axis.errorbar(steps, values, yerr=[1.96 * e for e in known], fmt="none",
                          ecolor=look.style["color"], elinewidth=0.7, alpha=0.5)  # fmt: skip


def _gap_errors(runs: Sequence[Run]) -> dict[Place, dict[str, float]]:
    """Standard errors over pairs of the gaps, of the last sampling stage of each iteration; over seeds
    the error of their mean."""
    found: dict[Place, dict[tuple[int, str], dict[str, float]]] = {}
    for number, (run, group) in enumerate(zip(runs, group_names(runs), strict=True)):
        for stage in run.stages:
            name = str(stage.get("stage", ""))
            place, errors = stage_place(name), gap_errors(run, name)
            if place and errors:
                line = (group, place[0], run.arm_loss(place[0]))
                found.setdefault((line, place[1]), {})[number, stage_seed(name)] = errors
    return {
        place: {
            side: math.sqrt(sum(errors.get(side, 0.0) ** 2 for errors in seeds.values()))
            / len(seeds)
            for side in SIDES
        }
        for place, seeds in found.items()
    }


def looks_of(runs: Sequence[Run], others: Iterable[Line] = ()) -> dict[Line, Look]:
    """The look of every line of the runs, the same in all plots of training; ``others`` are lines of
    stages that are not done yet."""
    lines = [
        (group, arm, run.arm_loss(arm))
        for run, group in zip(runs, group_names(runs), strict=True)
        for arm in run.arms
    ]
    return looks([*lines, *others], arms_of_runs(runs))


def _by_place(
    runs: Sequence[Run], read: Callable[[Measures], dict[str, float] | None]
) -> dict[Place, dict[str, float]]:
    """What ``read`` finds in the measures of each checkpoint's pairs, by side.

    Of several sampling stages of an iteration the last counts: its pairs train the policy. Over
    several seeds it is the mean.
    """
    found: dict[Place, dict[tuple[int, str], dict[str, float]]] = {}
    for number, (run, group) in enumerate(zip(runs, group_names(runs), strict=True)):
        for stage in run.stages:
            name = str(stage.get("stage", ""))
            place, values = stage_place(name), read(stage.get("measures") or {})
            if place and values:
                line = (group, place[0], run.arm_loss(place[0]))
                found.setdefault((line, place[1]), {})[number, stage_seed(name)] = values
    return {
        place: {side: fmean(values[side] for values in seeds.values()) for side in SIDES}
        for place, seeds in found.items()
    }


def _lengths(measures: Measures) -> dict[str, float] | None:
    tokens = {side: measures.get(f"{side}_tokens") for side in SIDES}
    known = {side: float(v) for side, v in tokens.items() if isinstance(v, int | float)}
    return known if len(known) == len(SIDES) else None


_PANELS = {
    "loss": "loss",
    "margin/": "reward margin",
    "accuracy/": "reward accuracy",
    "kl_to_ref": "KL to ref",
}


def curves_figure(runs: Sequence[Run]) -> Figure:
    """Training curves of every training stage: loss, reward margin and accuracy, KL to reference.

    Margins and accuracies are means over the kinds of pairs of a step, and over the seeds of a run;
    generator stages are dashed, later iterations darker.
    """
    curves = _curves(runs)
    points = {prefix: _points(curves, prefix) for prefix in _PANELS}
    points = {prefix: lines for prefix, lines in points.items() if lines}
    if not points:
        raise UserError("no training curves to plot")
    drawn = looks_of(runs, (line for line, _, _ in curves))
    figure, axes = grid(min(2, len(points)), -(-len(points) // 2))
    for axis, (prefix, lines) in zip(axes, points.items(), strict=False):
        for (line, iteration, step), curve in lines.items():
            axis.plot(
                *zip(*curve, strict=True),
                "--" if "gen" in step else "-",
                color=drawn[line].style["color"],
                alpha=min(1.0, 0.35 + 0.2 * iteration),
                label=f"{drawn[line].label} {iteration} {step}",
                linewidth=1,
            )
        axis.set_xlabel("optimizer step")
        whole_numbers(axis)
        axis.set_ylabel(_PANELS[prefix])
    for axis in axes[len(points) :]:
        axis.set_visible(False)
    if len(curves) <= 16:
        one_legend(figure, axes)
    return figure


def _points(
    curves: Mapping[Curve, Sequence[Record]], prefix: str
) -> dict[Curve, list[tuple[float, float]]]:
    found = {}
    for key, rows in curves.items():
        points: dict[float, list[float]] = {}
        for row in rows:
            values = [
                v
                for name, v in row.items()
                if name.startswith(prefix) and isinstance(v, int | float)
            ]
            if values:
                points.setdefault(float(row["step"]), []).append(fmean(values))
        if points:
            found[key] = [(step, fmean(values)) for step, values in sorted(points.items())]
    return found


def _curves(runs: Sequence[Run]) -> dict[Curve, list[Record]]:
    found: dict[Curve, list[Record]] = {}
    for run, group in zip(runs, group_names(runs), strict=True):
        for path in sorted(run.path.glob("**/curve.jsonl")):
            inside = path.relative_to(run.path)
            if any(part.startswith(".") for part in inside.parts):  # results set aside
                continue
            place = stage_place(inside.as_posix())
            rows = [{"step": index, **row} for index, row in enumerate(read_lines(path), 1)]
            if place and rows:
                step = inside.parts[inside.parts.index(f"iter-{place[1]}") + 1]
                line = (group, place[0], run.arm_loss(place[0]))
                found.setdefault((line, place[1], step), []).extend(rows)
    return found


def cost_figure(frame: pd.DataFrame, runs: Sequence[Run]) -> Figure:
    """Cost against quality: compute time (and judge cost, where any) spent up to a checkpoint
    against the mean of its headline percentages, with the 95 % interval that their items leave."""
    spent, records = spending(runs), over_seeds(frame)
    points = {place: value for place, value in _quality(records).items() if place in spent}
    if not points:
        raise UserError("no times of stages to plot cost against quality")
    drawn = looks_of(runs)
    with_dollars = any(spent[place][1] > 0 for place in points)
    figure, axes = grid(2 if with_dollars else 1)
    for axis, part in zip(axes, range(2), strict=False):
        for line, look in drawn.items():
            steps = sorted(step for other, step in points if other == line)
            x = [spent[line, step][part] / (60 if part == 0 else 1) for step in steps]
            if steps:
                with_bars(axis, x, [points[line, step] for step in steps], look)
        axis.set_xlabel(
            "minutes of training and sampling so far" if part == 0 else "cost so far ($)"
        )
        axis.set_ylabel("mean score (percent)")
        roomy(axis, "percent")
    one_legend(figure, axes)
    return figure


def spending(runs: Sequence[Run]) -> dict[Place, tuple[float, float]]:
    """Seconds and dollars of all non-evaluation stages up to each checkpoint; the mean over seeds."""
    single: dict[Place, list[float]] = {}
    makers: dict[Place, set[str]] = {}
    for number, (run, group) in enumerate(zip(runs, group_names(runs), strict=True)):
        for stage in run.stages:
            name = str(stage.get("stage", ""))
            where = stage_place(name)
            if where and stage.get("kind") not in ("eval", "judge"):
                place = ((group, where[0], run.arm_loss(where[0])), where[1])
                makers.setdefault(place, set()).add(f"{number}/{stage_seed(name)}")
                entry = single.setdefault(place, [0.0, 0.0])
                entry[0] += float(stage.get("seconds") or 0)
                entry[1] += float(stage.get("cost_usd") or 0)
    means = {place: [v / len(makers[place]) for v in entry] for place, entry in single.items()}
    return {
        (line, step): (
            sum(v[0] for (other, s), v in means.items() if other == line and s <= step),
            sum(v[1] for (other, s), v in means.items() if other == line and s <= step),
        )
        for line, step in means
    }


def _quality(records: Sequence[Record]) -> dict[Place, Record]:
    """Mean of the headline percentages of a checkpoint, over the benchmarks all checkpoints have, with the
    standard error of a mean of independent scores."""
    values: dict[Place, dict[str, tuple[float, float]]] = {}
    for record in records:
        usable = record["headline"] and not record["category"] and record["unit"] == "percent"
        if usable and record["info"].kind == "benchmark" and record["value"] == record["value"]:
            place = (line_of(record), int(record["iteration"]))
            scores = values.setdefault(place, {})
            scores[record["benchmark"]] = record["value"], record["stderr"]
    shared = set.intersection(*map(set, values.values())) if values else set()
    return {
        place: _mean([found[name] for name in shared]) for place, found in values.items() if shared
    }


def _mean(scores: Sequence[tuple[float, float]]) -> Record:
    values, errors = zip(*scores, strict=True)
    return {"value": fmean(values), "stderr": math.hypot(*errors) / len(errors), "unit": "percent"}
