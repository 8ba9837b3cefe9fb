"""Pass, fail or cannot tell, from comparisons alone."""

import math

import pytest

from leaderboards.compare import Comparison
from leaderboards.gate.decide import decide, largest_loss, p_worse


def counted(lost, gained, n=1000):
    difference = (gained - lost) / n * 100
    return Comparison(difference, 1.0, n - 1, 1.0, n, "mcnemar", counts=(lost, gained), span=100.0)


def normal(difference, stderr):
    return Comparison(difference, stderr, math.inf, 1.0, 800, "paired t", span=1.0)


@pytest.mark.parametrize(
    ("comparison", "effect", "status"),
    [
        (counted(100, 40), 2.5, "fail"),  # 6 points lost, p ~ 2e-7
        (counted(40, 40), 2.5, "pass"),  # bound 1.48 below 2.5
        (counted(0, 0, n=1000), 2.5, "pass"),
        (counted(0, 0, n=20), 2.5, "cannot tell"),  # 20 equal answers say little
        (counted(6, 2, n=20), 2.5, "cannot tell"),
        (counted(45, 30), 2.5, "cannot tell"),  # 1.5 lost, not significant, up to 2.9
        (counted(30, 10, n=10_000), 2.5, "pass"),  # real but 0.2 points
        (normal(-2.0, 0.4), 3.0, "pass"),  # real, 2.66 at most
        (normal(-2.6, 0.4), 3.0, "fail"),  # real, perhaps 3.26
        (normal(0.0, math.nan), 3.0, "cannot tell"),
    ],
)
def test_decisions(comparison, effect, status):
    (decision,) = decide([comparison], [effect])
    assert decision.status == status


def test_correction_over_benchmarks():
    borderline = normal(-3.5, 1.7)  # one-sided p 0.0198
    assert decide([borderline], [3.0])[0].status == "fail"
    family = [borderline, *[normal(0.0, 0.1)] * 4]
    decisions = decide(family, [3.0] * 5)
    assert decisions[0].p_worse == pytest.approx(5 * p_worse(borderline))
    assert [decision.status for decision in decisions] == ["cannot tell", *["pass"] * 4]


def test_identical_ratings_of_few_items_leave_room():
    same = Comparison(0.0, 0.0, 9, 1.0, 10, "paired t", span=4.0)
    assert largest_loss(same) == pytest.approx(4 * math.log(20) / 10)


def test_rounded_ratings_count_as_unchanged():
    same = Comparison(1e-8, 1e-8, 9, 1.0, 10, "paired t", span=4.0)
    assert largest_loss(same) == pytest.approx(4 * math.log(20) / 10, rel=1e-6)
