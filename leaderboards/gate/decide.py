"""The decision of the gate, free of files: from comparisons to pass, fail or cannot tell.

For each benchmark there is a smallest loss that matters. A benchmark *passes* when a loss that large
is ruled out (one-sided 95 % bound of a paired comparison). It *fails* when it does not pass and the
loss is real: a one-sided paired test, corrected by Holm over all benchmarks of the check. Else the
run *cannot tell*. A small loss can so be real and still pass, and noise fails a whole table at
most 5 times in 100. The bounds need no correction: a false pass of the whole needs every one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from leaderboards.compare import Comparison
from leaderboards.statistics import noninferiority
from leaderboards.statistics.correction import holm

Status = Literal["pass", "fail", "cannot tell"]

UNCHANGED = 1e-6
"""Standard errors below this share of the items' range are rounding: nothing changed."""
OTHER_EFFECT = {"percent": 3.0, "points": 0.8, "characters": 0.0}


@dataclass(frozen=True)
class Decision:
    """Status, the corrected one-sided p-value of a loss, and the loss that can't be ruled out."""

    status: Status
    p_worse: float
    largest_loss: float
    reason: str


def p_worse(comparison: Comparison) -> float:
    """One-sided p-value of a loss: exact for right or wrong answers, else t or normal."""
    if comparison.counts is not None and comparison.seeds == 1:
        lost, gained = comparison.counts
        return noninferiority.p_worse_counts(int(lost), int(gained))
    return noninferiority.p_worse(comparison.difference, comparison.stderr, comparison.df)


def largest_loss(comparison: Comparison, alpha: float = 0.05) -> float:
    """The loss (positive, in the figure's unit) that the 1 - alpha one-sided bound leaves possible."""
    if comparison.counts is not None:
        bound = noninferiority.lower_bound_counts(
            *comparison.counts,
            comparison.n,
            alpha,
            seeds=comparison.seeds,
            seed_stderr=comparison.seed_stderr / comparison.span,
        )
        return -bound * comparison.span
    if comparison.paired and comparison.stderr <= UNCHANGED * comparison.span:
        rest = noninferiority.lower_bound_unchanged(comparison.n, comparison.span, alpha)
        return -(comparison.difference + rest)
    return -noninferiority.lower_bound(
        comparison.difference, comparison.stderr, comparison.df, alpha
    )


def decide(
    comparisons: Sequence[Comparison | None], effects: Sequence[float], alpha: float = 0.05
) -> list[Decision]:
    """Decide on every benchmark of one check; None stands for one that can't be compared.

    ``effects`` are the smallest losses that matter, one per comparison, in its unit.
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
    if bound < effect:
        return Decision("pass", p, bound, f"a loss of {effect:g} or more is ruled out")
    if p <= alpha:
        loss = -found.difference
        return Decision("fail", p, bound, f"a real loss of {loss:.3g}, perhaps {bound:.3g}")
    reason = f"a loss of up to {bound:.3g} can't be ruled out, nor is any loss shown"
    return Decision("cannot tell", p, bound, reason)
