"""Paper-ready plots, drawn without a display; every function returns a matplotlib figure.

Colours are the Okabe-Ito set, which stays apart for colour-blind readers and in grey; each arm
keeps its colour and marker through all plots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboards.errors import LeaderboardError
from leaderboards.frame import over_seeds
from leaderboards.layouts import COLUMNS, Column, Layout, ordered_arms
from leaderboards.marks import arm_label
from leaderboards.runs import Run, read_lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from leaderboards.trends import Series

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FORMATS = (".pdf", ".svg", ".png")
_PANELS = (
    "ae2_lc",
    "mt_bench",
    "gpqa",
    "mmlu_pro",
    "math",
    "gsm8k",
    "mmlu",
    "ifeval",
    "pair_accuracy",
)

Record = dict[str, Any]
Style = dict[str, Any]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PDF, SVG or PNG (by the ending), with no date inside."""
    if path.suffix not in FORMATS:
        raise LeaderboardError(f"a plot is written as {', '.join(FORMATS)}, not as {path.name!r}")
    metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None}
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata=None if path.suffix == ".png" else metadata)
    return path


def svg(figure: Figure, name: str) -> str:
    """A figure as an SVG element to put into a page: transparent, text as text, ids made unique."""
    import io

    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _figure(columns: int, rows: int = 1, width: float = 3.1, height: float = 2.5) -> Any:
    """(figure, list of axes) of a grid, in a style fit for a paper's column."""
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False,
             "axes.grid": True, "grid.alpha": 0.3, "lines.markersize": 4}  # fmt: skip
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained", dpi=150)
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def _styles(arms: Sequence[str]) -> dict[str, Style]:
    ordered = ordered_arms(sorted(set(arms) - {"base"}), Layout("", "", ()))
    return {
        arm: {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}
        for i, arm in enumerate(ordered)
    }


def iterations_figure(frame: pd.DataFrame) -> Figure:
    """Scores by iteration: a panel a benchmark, a line an arm, bands of 95 % (1.96 errors)."""
    records = [r for r in over_seeds(frame) if not r["category"] and r["value"] == r["value"]]
    shown = [(COLUMNS[key], found) for key in _PANELS if (found := _of(records, COLUMNS[key]))]
    if not shown:
        raise LeaderboardError("no scores to plot by iteration")
    styles = _styles([record["arm"] for record in records])
    columns = min(3, len(shown))
    figure, axes = _figure(columns, -(-len(shown) // columns))
    for axis, (column, found) in zip(axes, shown, strict=False):
        _iteration_panel(axis, column, found, styles)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def _of(records: Sequence[Record], column: Column) -> list[Record]:
    from leaderboards.build import shows

    return [record for record in records if shows(column, record)]


def _iteration_panel(
    axis: Axes, column: Column, records: Sequence[Record], styles: Mapping[str, Style]
) -> None:
    base = [record for record in records if record["arm"] == "base"][:1]
    for arm, style in styles.items():
        rows = [
            *base,
            *sorted((r for r in records if r["arm"] == arm), key=lambda r: r["iteration"]),
        ]
        if len(rows) > len(base):
            _band(axis, rows, arm, style)
    if base and not any(record["arm"] != "base" for record in records):
        _band(axis, base, "base", {"color": "#555555", "marker": "o"})
    axis.set_title(column.label, fontsize=8)
    axis.set_xlabel("iteration")
    axis.set_ylabel(records[0]["unit"])
    axis.locator_params(axis="x", integer=True)


def _band(axis: Axes, rows: Sequence[Record], arm: str, style: Style) -> None:
    x = [row["iteration"] for row in rows]
    y = [row["value"] for row in rows]
    half = [1.96 * row["stderr"] if row["stderr"] == row["stderr"] else 0.0 for row in rows]
    axis.plot(x, y, label=arm_label(arm), linewidth=1.2, **style)
    low, high = ([v - h for v, h in zip(y, half, strict=True)], [v + h for v, h in zip(y, half, strict=True)])  # fmt: skip
    axis.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)


def length_figure(frame: pd.DataFrame) -> Figure:
    """Answer length against win rate (length-controlled, and raw where there is one), by checkpoint."""
    records = [
        r for r in over_seeds(frame) if r["benchmark"] == "alpaca_eval" and not r["category"]
    ]
    lengths = {_point(r): r["value"] for r in records if r["metric"] == "length"}
    metrics = [m for m in ("lc_win_rate", "win_rate") if any(r["metric"] == m for r in records)]
    if not lengths or not metrics:
        raise LeaderboardError("no AlpacaEval lengths and win rates to plot")
    styles = {**_styles([r["arm"] for r in records]), "base": {"color": "#555555", "marker": "*"}}
    figure, axes = _figure(len(metrics))
    for axis, metric in zip(axes, metrics, strict=True):
        rates = {_point(r): r["value"] for r in records if r["metric"] == metric}
        for arm, style in styles.items():
            points = sorted(p for p in rates if p[0] == arm and p in lengths)
            x, y = [lengths[p] for p in points], [rates[p] for p in points]
            axis.plot(x, y, label=arm_label(arm), linewidth=0.8, **style)
            for point, at, value in zip(points, x, y, strict=True):
                if arm != "base":
                    axis.annotate(f" {point[2]}", (at, value), fontsize=6)
        axis.set_xlabel("mean length (characters)")
        axis.set_ylabel(f"{metric.replace('_', ' ').replace('lc', 'LC')} (percent)")
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def _point(record: Record) -> tuple[str, str, int]:
    return record["arm"], record["loss"], record["iteration"]


def policyness_figure(frame: pd.DataFrame, runs: Sequence[Run]) -> Figure:
    """Pair accuracy, and average log-probability of the pairs' two sides, by iteration.

    The second panel shows chosen (solid) and rejected (dashed) minus the original answers: how far
    the pairs are from what the policy itself writes.
    """
    accuracy = _of(over_seeds(frame), COLUMNS["pair_accuracy"])
    measured = _policyness(runs)
    if not accuracy and not measured:
        raise LeaderboardError("no pair accuracy and no on-policyness to plot")
    styles = _styles([record["arm"] for record in accuracy] + [arm for arm, _ in measured])
    figure, (left, right) = _figure(2)
    for arm, style in styles.items():
        rows = sorted((r for r in accuracy if r["arm"] == arm), key=lambda r: r["iteration"])
        if rows:
            _band(left, rows, arm, style)
        _policyness_lines(right, arm, measured, style)
    left.set_ylabel("pair accuracy (percent)")
    left.axhline(50, color="#888888", linewidth=0.8, linestyle=":")
    right.set_ylabel("avg. log-prob. minus original")
    for axis in (left, right):
        axis.set_xlabel("iteration")
        axis.locator_params(axis="x", integer=True)
        if axis.get_legend_handles_labels()[1]:
            axis.legend(frameon=False, fontsize=6)
    return figure


def _policyness_lines(
    axis: Axes,
    arm: str,
    measured: Mapping[tuple[str, int], Mapping[str, float]],
    style: Style,
) -> None:
    steps = sorted(iteration for name, iteration in measured if name == arm)
    for side, line in (("chosen", "-"), ("rejected", "--")):
        gaps = [
            measured[arm, step][f"avg_logp_{side}"] - measured[arm, step]["avg_logp_original"]
            for step in steps
        ]
        if gaps:
            label = f"{arm_label(arm)} {side}"
            axis.plot(steps, gaps, linestyle=line, label=label, linewidth=1.2, **style)


def _policyness(runs: Sequence[Run]) -> dict[tuple[str, int], dict[str, float]]:
    """(arm, iteration) to average log-probabilities, of the first run and seed that has them."""
    names = ("avg_logp_chosen", "avg_logp_rejected", "avg_logp_original")
    found: dict[tuple[str, int], dict[str, float]] = {}
    for run in runs:
        for stage in run.stages:
            measures = stage.get("measures") or {}
            place = stage_place(str(stage.get("stage", "")))
            if place and all(isinstance(measures.get(name), int | float) for name in names):
                found.setdefault(place, {name: float(measures[name]) for name in names})
    return found


def stage_place(stage: str) -> tuple[str, int] | None:
    """(arm, iteration) of a stage's id, e.g. ``seed-1/sso/iter-2/policy``; None outside an arm."""
    parts = stage.split("/")
    for arm, step in pairwise(parts):
        if step.startswith("iter-") and step[5:].isdigit():
            return arm, int(step[5:])
    return None


def curves_figure(runs: Sequence[Run]) -> Figure:
    """Training curves: loss and reward margin (where logged) of every training stage."""
    curves = _curves(runs)
    if not curves:
        raise LeaderboardError("no training curves to plot")
    names = [name for name in ("loss", "reward_margin", "rewards/margins", "grad_norm", "kl") if any(name in row for rows in curves.values() for row in rows)][:3]  # fmt: skip
    styles = _styles([arm for arm, _, _ in curves])
    figure, axes = _figure(max(1, len(names)))
    for axis, name in zip(axes, names, strict=False):
        for (arm, iteration, step), rows in curves.items():
            points = [(row.get("step", i), row[name]) for i, row in enumerate(rows) if isinstance(row.get(name), int | float)]  # fmt: skip
            if points:
                x, y = zip(*points, strict=True)
                line = "--" if "gen" in step else "-"
                alpha = min(1.0, 0.35 + 0.2 * iteration)
                label = f"{arm_label(arm)} {iteration} {step}"
                axis.plot(
                    x, y, line, color=styles[arm]["color"], alpha=alpha, linewidth=1, label=label
                )
        axis.set_xlabel("optimizer step")
        axis.set_ylabel(name.replace("_", " ").replace("rewards/margins", "reward margin"))
    if len(curves) <= 12:
        axes[0].legend(frameon=False, fontsize=5)
    return figure


def _curves(runs: Sequence[Run]) -> dict[tuple[str, int, str], list[Record]]:
    found: dict[tuple[str, int, str], list[Record]] = {}
    for run in runs:
        for path in sorted(run.path.glob("**/curve.jsonl")):
            place = stage_place(path.relative_to(run.path).as_posix())
            rows = list(read_lines(path))
            if place and rows:
                found.setdefault((*place, path.parent.name), rows)
    return found


def cost_figure(frame: pd.DataFrame, runs: Sequence[Run]) -> Figure:
    """Cost against quality: compute time (and judge cost, where any) spent up to a checkpoint
    against the mean of its headline percentages."""
    spent = spending(runs)
    quality = _quality(over_seeds(frame))
    points = {place: quality[place] for place in quality if place in spent}
    if not points:
        raise LeaderboardError("no times of stages to plot cost against quality")
    styles = _styles([arm for arm, _ in points])
    with_dollars = any(spent[place][1] > 0 for place in points)
    figure, axes = _figure(2 if with_dollars else 1)
    for axis, part in zip(axes, range(2), strict=False):
        for arm, style in styles.items():
            steps = sorted(step for name, step in points if name == arm)
            x = [spent[arm, step][part] / (60 if part == 0 else 1) for step in steps]
            axis.plot(
                x, [points[arm, step] for step in steps], label=arm_label(arm), linewidth=1, **style
            )
        axis.set_xlabel(
            "minutes of training and sampling so far" if part == 0 else "cost so far ($)"
        )
        axis.set_ylabel("mean headline score (percent)")
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def spending(runs: Sequence[Run]) -> dict[tuple[str, int], tuple[float, float]]:
    """(arm, iteration) to seconds and dollars of all its non-evaluation stages, summed up to it."""
    single: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        for stage in run.stages:
            place = stage_place(str(stage.get("stage", "")))
            if place and stage.get("kind") not in ("eval", "judge"):
                entry = single.setdefault(place, [0.0, 0.0])
                entry[0] += float(stage.get("seconds") or 0)
                entry[1] += float(stage.get("cost_usd") or 0)
    return {
        (arm, step): (
            sum(v[0] for (a, s), v in single.items() if a == arm and s <= step),
            sum(v[1] for (a, s), v in single.items() if a == arm and s <= step),
        )
        for arm, step in single
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


def history_figure(series: Sequence[Series]) -> Figure:
    """A panel a series over the runs in time order, with 95 % bars and level shifts."""
    shown = list(series)[:24]
    columns = min(3, len(shown))
    figure, axes = _figure(columns, -(-len(shown) // columns))
    for axis, one in zip(axes, shown, strict=False):
        x = list(range(len(one.points)))
        errors = [1.96 * (point.stderr or 0) for point in one.points]
        axis.errorbar(
            x, [p.value for p in one.points], yerr=errors, fmt="o-", color=COLORS[0], linewidth=1
        )
        for change in one.changes():
            axis.axvline(change.index - 0.5, color=COLORS[1], linestyle="--", linewidth=1)
        axis.set_title(one.title, fontsize=6)
        ticks = x[:: max(1, len(x) // 6)]
        axis.set_xticks(
            ticks,
            [one.points[i].commit or one.points[i].created[:10] for i in ticks],
            fontsize=5,
            rotation=30,
        )
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return figure
