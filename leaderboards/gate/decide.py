"""The decision of the gate, free of files: from comparisons to pass, fail or cannot tell.

For each benchmark there is a smallest loss that matters. A benchmark *fails* when its loss is real
(one-sided paired test, corrected by Holm over all benchmarks) and at least that large as measured;
it *passes* when a loss that large can be ruled out (one-sided 95 % bound); else the run *cannot
tell*. The bounds need no correction: a false pass of the whole needs every one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from leaderboards.compare import Comparison
from leaderboards.statistics import noninferiority
from leaderboards.statistics.correction import holm

Status = Literal["pass", "fail", "cannot tell"]

MINIMUM_EFFECTS: dict[str, float] = {
    "gsm8k": 2.5,
    "math": 2.0,
    "mmlu_pro": 1.0,
    "mmlu": 1.0,
    "gpqa": 6.0,
    "ifeval": 3.0,
    "alpaca_eval": 3.0,
    "mt_bench": 0.5,
    "pair_accuracy": 5.0,
}
"""Smallest loss that matters, in the headline figure's own unit (points of percent, or points of
ten for MT-Bench): somewhat below what the full benchmark can detect."""
OTHER_EFFECT = {"percent": 2.0, "points": 0.5, "characters": 0.0}


@dataclass(frozen=True)
class Decision:
    """Status, the corrected one-sided p-value of a loss, and the loss that can't be ruled out."""

    status: Status
    p_worse: float
    largest_loss: float
    reason: str


def p_worse(comparison: Comparison) -> float:
    """One-sided p-value of a loss: exact for right or wrong answers, else t or normal."""
    if comparison.counts is not None:
        return noninferiority.p_worse_counts(*comparison.counts)
    return noninferiority.p_worse(comparison.difference, comparison.stderr, comparison.df)


def largest_loss(comparison: Comparison, alpha: float = 0.05) -> float:
    """The loss (positive, in the figure's unit) that the 1 - alpha one-sided bound leaves possible."""
    if comparison.counts is not None:
        bound = noninferiority.lower_bound_counts(*comparison.counts, comparison.n, alpha)
        return -bound * comparison.span
    if comparison.stderr == 0 and comparison.paired:
        rest = noninferiority.lower_bound_unchanged(comparison.n, comparison.span, alpha)
        return -(comparison.difference + rest)
    return -noninferiority.lower_bound(
        comparison.difference, comparison.stderr, comparison.df, alpha
    )


def decide(
    comparisons: Sequence[Comparison | None], effects: Sequence[float], alpha: float = 0.05
) -> list[Decision]:
    """Decide on every benchmark of one check; None stands for one that can't be compared.

    ``effects`` are the smallest losses that matter, one for each comparison, in its unit.
    """
    known = [index for index, comparison in enumerate(comparisons) if comparison is not None]
    raw = [p_worse(found) for found in comparisons if found is not None]
    adjusted = dict(zip(known, holm(raw).tolist() if raw else [], strict=True))
    return [
        Decision("cannot tell", 1.0, float("inf"), "no figure to compare")
        if found is None
        else _decide(found, effects[index], adjusted[index], alpha)
        for index, found in enumerate(comparisons)
    ]


def _decide(found: Comparison, effect: float, p: float, alpha: float) -> Decision:
    bound = largest_loss(found, alpha)
    loss = -found.difference
    if p <= alpha and loss >= effect:
        return Decision("fail", p, bound, f"a real loss of {loss:.3g}, {effect:g} or more matters")
    if bound < effect:
        return Decision("pass", p, bound, f"a loss of {effect:g} or more is ruled out")
    if p <= alpha:
        return Decision("cannot tell", p, bound, f"a real loss, but perhaps below {effect:g}")
    return Decision("cannot tell", p, bound, f"a loss of up to {bound:.3g} can't be ruled out")
