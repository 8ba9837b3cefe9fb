"""The method's own quantities of each checkpoint, as rows of the frame beside its scores.

Average probability of a token of y+ and of y- under the policy, the paper's average probability (mean over
both sides of exp(avg logp)), the on-policyness gap (average
log-probability of y+ minus that of the plain answer, with its error over pairs), KL to the reference
after training, and the pairs kept. They come from the records of the finished stages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import stdev
from typing import Any

from leaderboards.benchmark_info import ScoreInfo
from leaderboards.runs import Run, read_lines, stage_place, stage_seed

BENCHMARK = "training"
SIDES = ("chosen", "rejected")
Measures = Mapping[str, Any]


def _info(column: str, label: str, order: int) -> ScoreInfo:
    return ScoreInfo(
        title="Training", column=column, label=label, order=order, better=0, kind="training"
    )


INFO = {
    "p_plus": (_info("p_plus", "P(y+)", 130), "percent"),
    "p_minus": (_info("p_minus", "P(y-)", 131), "percent"),
    "p_avg": (_info("p_avg", "Avg. prob.", 135), "percent"),
    "gap": (_info("gap", "Gap", 132), "nats"),
    "kl": (_info("kl", "KL", 133), "nats"),
    "pairs": (_info("pairs", "Pairs", 134), "pairs"),
}
"""Metric to how it is shown, and its unit."""


def method_rows(run: Run) -> list[dict[str, Any]]:
    """The quantities of every evaluated checkpoint: arm, iteration, seed, metric, value, stderr, unit,
    n, and how each is shown."""
    places = {
        (s.arm, s.iteration): s.seed for e in run.evaluations for s in e.scores if s.iteration
    }
    seeds = {s.seed for e in run.evaluations for s in e.scores}
    rows = []
    for (arm, iteration, prefix), found in _by_checkpoint(run).items():
        seed = int(prefix.removeprefix("seed-")) if prefix else places.get((arm, iteration))
        if (arm, iteration) not in places or seed not in seeds:
            continue
        pairs = int(found.get("pairs", (0.0, None))[0])
        for metric, (value, stderr) in found.items():
            info, unit = INFO[metric]
            figures = {"metric": metric, "value": value, "stderr": stderr, "unit": unit, "n": pairs}
            at = {"arm": arm, "iteration": iteration, "seed": seed}
            rows.append({**at, **figures, "n_expected": pairs, "info": info})
    return rows


Figures = dict[str, tuple[float, float | None]]


def _by_checkpoint(run: Run) -> dict[tuple[str, int, str], Figures]:
    """(arm, iteration, seed's prefix) to its quantities; the last sampling stage of an iteration
    counts, whose pairs train the policy."""
    found: dict[tuple[str, int, str], Figures] = {}
    for stage in run.stages:
        name, measures = str(stage.get("stage", "")), stage.get("measures") or {}
        place = stage_place(name)
        if place is None:
            continue
        own = found.setdefault((*place, stage_seed(name)), {})
        if stage.get("kind") == "sample":
            own.update(_of_pairs(run, name, measures, stage.get("counts") or {}))
        elif stage.get("kind") == "train" and not name.endswith("/generator"):
            kl = measures.get("final_kl_to_ref", measures.get("kl_to_ref"))
            if isinstance(kl, int | float):
                own["kl"] = (float(kl), None)
    return {place: figures for place, figures in found.items() if figures}


def _of_pairs(run: Run, name: str, measures: Measures, counts: Measures) -> Figures:
    found: Figures = {}
    if probabilities := probabilities_of(measures):
        found["p_plus"] = (probabilities["chosen"], None)
        found["p_minus"] = (probabilities["rejected"], None)
    if (average := average_probability(run, name)) is not None:
        found["p_avg"] = average
    if gaps := gaps_of(measures):
        found["gap"] = (gaps["chosen"], gap_errors(run, name).get("chosen"))
    if isinstance(counts.get("pairs"), int):
        found["pairs"] = (float(counts["pairs"]), None)
    return found


def probabilities_of(measures: Measures) -> dict[str, float] | None:
    """The average probability of a token of each side, in percent (geometric mean over tokens)."""
    logps = {side: measures.get(f"{side}_logp") for side in SIDES}
    known = {side: 100 * math.exp(v) for side, v in logps.items() if isinstance(v, int | float)}
    return known if len(known) == len(SIDES) else None


def average_probability(run: Run, stage: str) -> tuple[float, float | None] | None:
    """Mean over y+ and y- of exp(avg logp(y given x)), percent, and its standard error over pairs.

    Source: arXiv 2410.17131, second version, figure 3. From the stage's ``quality.jsonl``.
    """
    file = run.path / stage / "quality.jsonl"
    values = []
    for row in read_lines(file) if file.is_file() else []:
        logps = [row.get(f"{side}_logp") for side in SIDES]
        known = [float(v) for v in logps if isinstance(v, int | float)]
        if len(known) == len(SIDES):
            values.append(50 * sum(map(math.exp, known)))
    if not values:
        return None
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return sum(values) / len(values), error


def gaps_of(measures: Measures) -> dict[str, float] | None:
    """Average log-probability of each side of the pairs minus that of the original answers."""
    gaps = {}
    for side in SIDES:
        direct = measures.get(f"{side}_gap")
        for pattern in ("avg_logp_{}", "{}_logp"):
            logp, original = (measures.get(pattern.format(name)) for name in (side, "original"))
            known = isinstance(logp, int | float) and isinstance(original, int | float)
            if direct is None and known:
                direct = float(logp) - float(original)  # type: ignore[arg-type]
        if not isinstance(direct, int | float):
            return None
        gaps[side] = float(direct)
    return gaps


def gap_errors(run: Run, stage: str) -> dict[str, float]:
    """Standard errors over pairs of a stage's gaps, from its ``quality.jsonl``."""
    file = run.path / stage / "quality.jsonl"
    return _errors_of(read_lines(file)) if file.is_file() else {}


def _errors_of(rows: Iterable[Measures]) -> dict[str, float]:
    gaps: dict[str, list[float]] = {side: [] for side in SIDES}
    for row in rows:
        original = row.get("original_logp")
        for side in SIDES:
            logp = row.get(f"{side}_logp")
            if isinstance(logp, int | float) and isinstance(original, int | float):
                gaps[side].append(logp - original)
    return {side: stdev(g) / math.sqrt(len(g)) for side, g in gaps.items() if len(g) > 1}
