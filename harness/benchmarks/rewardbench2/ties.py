"""RewardBench 2's Ties: several right answers should score alike, and above every wrong one.

Source: Malik et al. 2025 (arXiv 2506.01937), section on Ties, and the authors' ``rewardbench`` package. A
``tied`` question has many right answers, the ``ref`` question of the same number has one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WEIGHTS = {
    "tied": 0.30,
    "ref": 0.30,
    "preferred": 0.20,
    "preferred_hard": 0.20,
    "margin": 0.01,
}


@dataclass(frozen=True)
class Margins:
    """``spread``: best minus worst right answer. ``gap``: worst right minus best wrong answer."""

    spread: float
    gap: float

    @property
    def right(self) -> bool:
        """Every right answer scores above every wrong one."""
        return self.gap > 0


def margins(scores: Sequence[float], correct: int) -> Margins:
    """The margins of a question whose first ``correct`` answers are right."""
    good, bad = scores[:correct], scores[correct:]
    return Margins(max(good) - min(good), min(good) - max(bad))


def ties_score(tied: Mapping[str, Margins], ref: Mapping[str, Margins]) -> float | None:
    """The published score of the subset, by question number; None without a pair of questions."""
    both = [(tied[number], ref[number]) for number in tied if number in ref]
    if not both:
        return None
    n = len(both)
    found = {
        "tied": sum(m.right for m in tied.values()) / len(tied),
        "ref": sum(m.right for m in ref.values()) / len(ref),
        "preferred": sum(t.gap > t.spread for t, _ in both) / n,
        "preferred_hard": sum(min(t.gap, r.gap) > t.spread for t, r in both) / n,
        "margin": sum(_margin(min(t.gap, r.gap), t.spread) for t, r in both) / n,
    }
    return sum(weight * found[name] for name, weight in WEIGHTS.items())


def _margin(gap: float, spread: float) -> float:
    """tanh(gap / spread - 1); where the spread is 0 the limit, 0 for 0 / 0."""
    if spread == 0:
        return 0.0 if gap == 0 else math.copysign(1.0, gap)
    return math.tanh(gap / spread - 1)
