"""RewardBench 2's Ties, by hand."""

from __future__ import annotations

import math

import pytest

from harness.benchmarks.rewardbench2.ties import Margins, margins, ties_score


def test_ties_by_hand() -> None:
    assert margins([3.0, 2.0, 1.0, 0.5], 2) == Margins(1.0, 1.0)
    tied = {"1": Margins(1.0, 3.0), "2": Margins(2.0, 1.0)}
    ref = {"1": Margins(0.0, 2.0), "2": Margins(0.0, -1.0)}
    # both tied questions are right, one ref question is; gap above spread once, also with the ref's gap
    expected = 0.30 * 1.0 + 0.30 * 0.5 + 0.20 * 0.5 + 0.20 * 0.5
    expected += 0.01 * (math.tanh(2 / 1 - 1) + math.tanh(-1 / 2 - 1)) / 2
    assert ties_score(tied, ref) == pytest.approx(expected)
    assert ties_score(tied, {}) is None
    still = {"1": Margins(0.0, 1.0)}
    assert ties_score(still, still) == pytest.approx(1.01)
