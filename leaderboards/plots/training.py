"""Plots of training: on-policyness of the pairs, curves, and cost against quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from leaderboards.layouts import COLUMNS
from leaderboards.plots.scores import of_column
from leaderboards.plots.style import (
    Record,
    Style,
    arm_text,
    band,
    grid,
    stage_place,
    stage_seed,
    styles_of,
    whole_numbers,
    whole_steps,
)
from leaderboards.runs import Run, read_lines
from leaderboards.score_frame import over_seeds

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[str, int, str]
"""(arm, iteration, step)."""


def policyness_figure(frame: pd.DataFrame, runs: Sequence[Run]) -> Figure:
    """Pair accuracy, and average log-probability of the pairs' two sides, by iteration.

    The second panel shows chosen (solid) and rejected (dashed) minus the original answers: how far
    the pairs are from what the policy itself writes.
    """
    accuracy = of_column(over_seeds(frame), COLUMNS["pair_accuracy"])
    measured = _policyness(runs)
    if not accuracy and not measured:
        raise UserError("no pair accuracy and no on-policyness to plot")
    styles = styles_of([record["arm"] for record in accuracy] + [arm for arm, _ in measured])
    figure, (left, right) = grid(2)
    for arm, style in styles.items():
        rows = sorted((r for r in accuracy if r["arm"] == arm), key=lambda r: r["iteration"])
        if rows:
            band(left, rows, arm, style)
        _policyness_lines(right, arm, measured, style)
    left.set_ylabel("pair accuracy (percent)")
    right.set_ylabel("avg. log-prob. minus original")
    for axis in (left, right):
        axis.set_xlabel("iteration")
        whole_steps(axis)
    left.axhline(50, color="#888888", linewidth=0.8, linestyle=":")
    for axis in (left, right):
        if axis.get_legend_handles_labels()[1]:
            axis.legend(frameon=False, fontsize=6)
    return figure


def _policyness_lines(
    axis: Axes, arm: str, measured: Mapping[tuple[str, int], Mapping[str, float]], style: Style
) -> None:
    steps = sorted(iteration for name, iteration in measured if name == arm)
    for side, line in (("chosen", "-"), ("rejected", "--")):
        if steps:
            gaps = [measured[arm, step][side] for step in steps]
            label = f"{arm_text(arm)} {side}"
            face = style["color"] if side == "chosen" else "white"
            look = {"linestyle": line, "markerfacecolor": face, "linewidth": 1.2, **style}
            axis.plot(steps, gaps, label=label, **look)


def _policyness(runs: Sequence[Run]) -> dict[tuple[str, int], dict[str, float]]:
    """(arm, iteration) to the log-probability gaps of its pairs' sides to the original answers.

    Of several sampling stages of an iteration the last counts: its pairs train the policy. Over
    several seeds of a run it is the mean.
    """
    found: dict[tuple[str, int], dict[str, float]] = {}
    for run in runs:
        mine: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
        for stage in run.stages:
            name = str(stage.get("stage", ""))
            place, gaps = stage_place(name), _gaps(stage.get("measures") or {})
            if place and gaps:
                mine.setdefault(place, {})[stage_seed(name)] = gaps
        means = {
            place: {side: fmean(gaps[side] for gaps in seeds.values()) for side in _SIDES}
            for place, seeds in mine.items()
        }
        found = {**means, **found}
    return found


_SIDES = ("chosen", "rejected")


def _gaps(measures: Mapping[str, Any]) -> dict[str, float] | None:
    gaps = {}
    for side in _SIDES:
        direct = measures.get(f"{side}_gap")
        for pattern in ("avg_logp_{}", "{}_logp"):
            logp, original = (measures.get(pattern.format(name)) for name in (side, "original"))
            if (
                direct is None
                and isinstance(logp, int | float)
                and isinstance(original, int | float)
            ):
                direct = logp - original
        if not isinstance(direct, int | float):
            return None
        gaps[side] = float(direct)
    return gaps


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
    drawn = {prefix: _points(curves, prefix) for prefix in _PANELS}
    drawn = {prefix: points for prefix, points in drawn.items() if points}
    if not drawn:
        raise UserError("no training curves to plot")
    styles = styles_of([arm for arm, _, _ in curves])
    figure, axes = grid(min(2, len(drawn)), -(-len(drawn) // 2))
    for axis, (prefix, lines) in zip(axes, drawn.items(), strict=False):
        for (arm, iteration, step), points in lines.items():
            axis.plot(
                *zip(*points, strict=True),
                "--" if "gen" in step else "-",
                color=styles[arm]["color"],
                alpha=min(1.0, 0.35 + 0.2 * iteration),
                label=f"{arm_text(arm)} {iteration} {step}",
                linewidth=1,
            )
        axis.set_xlabel("optimizer step")
        whole_numbers(axis)
        axis.set_ylabel(_PANELS[prefix])
    for axis in axes[len(drawn) :]:
        axis.set_visible(False)
    if len(curves) <= 12:
        axes[0].legend(frameon=False, fontsize=5)
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
    for run in runs:
        mine: dict[Curve, list[Record]] = {}
        for path in sorted(run.path.glob("**/curve.jsonl")):
            inside = path.relative_to(run.path)
            place = stage_place(inside.as_posix())
            rows = [{"step": index, **row} for index, row in enumerate(read_lines(path), 1)]
            if place and rows:
                step = inside.parts[inside.parts.index(f"iter-{place[1]}") + 1]
                mine.setdefault((*place, step), []).extend(rows)
        found = {**mine, **found}
    return found


def cost_figure(frame: pd.DataFrame, runs: Sequence[Run]) -> Figure:
    """Cost against quality: compute time (and judge cost, where any) spent up to a checkpoint
    against the mean of its headline percentages."""
    spent = spending(runs)
    quality = _quality(over_seeds(frame))
    points = {place: quality[place] for place in quality if place in spent}
    if not points:
        raise UserError("no times of stages to plot cost against quality")
    styles = styles_of([arm for arm, _ in points])
    with_dollars = any(spent[place][1] > 0 for place in points)
    figure, axes = grid(2 if with_dollars else 1)
    for axis, part in zip(axes, range(2), strict=False):
        for arm, style in styles.items():
            steps = sorted(step for name, step in points if name == arm)
            x = [spent[arm, step][part] / (60 if part == 0 else 1) for step in steps]
            axis.plot(
                x, [points[arm, step] for step in steps], label=arm_text(arm), linewidth=1, **style
            )
        axis.set_xlabel(
            "minutes of training and sampling so far" if part == 0 else "cost so far ($)"
        )
        axis.set_ylabel("mean score (percent)")
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def spending(runs: Sequence[Run]) -> dict[tuple[str, int], tuple[float, float]]:
    """(arm, iteration) to seconds and dollars of all its non-evaluation stages, summed up to it; the
    mean over seeds and runs."""
    single: dict[tuple[str, int], list[float]] = {}
    makers: dict[tuple[str, int], set[str]] = {}
    for number, run in enumerate(runs):
        for stage in run.stages:
            name = str(stage.get("stage", ""))
            place = stage_place(name)
            if place and stage.get("kind") not in ("eval", "judge"):
                makers.setdefault(place, set()).add(f"{number}/{stage_seed(name)}")
                entry = single.setdefault(place, [0.0, 0.0])
                entry[0] += float(stage.get("seconds") or 0)
                entry[1] += float(stage.get("cost_usd") or 0)
    means = {place: [v / len(makers[place]) for v in entry] for place, entry in single.items()}
    return {
        (arm, step): (
            sum(v[0] for (a, s), v in means.items() if a == arm and s <= step),
            sum(v[1] for (a, s), v in means.items() if a == arm and s <= step),
        )
        for arm, step in means
    }


def _quality(records: Sequence[Record]) -> dict[tuple[str, int], float]:
    """Mean of the headline percentages of a checkpoint, over the benchmarks all checkpoints have."""
    values: dict[tuple[str, int], dict[str, float]] = {}
    for record in records:
        usable = record["headline"] and not record["category"] and record["unit"] == "percent"
        if usable and record["benchmark"] != "pair_accuracy" and record["value"] == record["value"]:
            place = (record["arm"], int(record["iteration"]))
            values.setdefault(place, {})[record["benchmark"]] = record["value"]
    shared = set.intersection(*map(set, values.values())) if values else set()
    return {
        place: sum(found[name] for name in shared) / len(shared)
        for place, found in values.items()
        if shared
    }
