"""One-sided bounds: by hand, against scipy, and their coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from leaderboards.statistics.noninferiority import (
    lower_bound,
    lower_bound_counts,
    lower_bound_unchanged,
    p_worse_counts,
)


def test_one_sided_mcnemar_is_a_binomial_tail():
    expected = stats.binomtest(15, 20, 0.5, alternative="greater").pvalue
    assert p_worse_counts(15, 5) == pytest.approx(expected)
    assert p_worse_counts(0, 0) == 1.0


def test_agresti_min_bound_by_hand():
    # lost 10, gained 4, n 98: difference -6/100, variance (15/100 - 0.0036)/100
    expected = -0.06 - 1.644854 * math.sqrt((0.15 - 0.0036) / 100)
    assert lower_bound_counts(10, 4, 98) == pytest.approx(expected, abs=1e-6)


def test_agresti_min_bound_covers():
    """Coverage of the nominal 95 % one-sided bound at a sparse setting, 20,000 tables."""
    rng = np.random.default_rng(0)
    draws = rng.multinomial(100, [0.04, 0.04, 0.92], size=20_000)
    table = {}
    for lost, gained, _ in draws:
        table.setdefault((lost, gained), lower_bound_counts(lost, gained, 100))
    covered = np.mean([table[lost, gained] <= 0 for lost, gained, _ in draws])
    assert covered >= 0.94


def test_bounds_at_the_edges():
    assert lower_bound(1.0, float("nan"), 10) == -math.inf
    assert lower_bound(1.0, 0.0, 10) == 1.0
    assert lower_bound_unchanged(60, 1.0) == pytest.approx(-math.log(20) / 60)
    assert lower_bound_unchanged(1, 9.0) == -9.0


def test_bound_over_seeds_by_hand():
    # Means 10 lost and 4 gained of 98, as above; 3 seeds, error between them 0.01; t(0.95, 2) 2.919986
    items = 1.644854 * math.sqrt((0.15 - 0.0036) / 100)
    expected = -0.06 - math.hypot(items, 2.919986 * 0.01)
    assert lower_bound_counts(10, 4, 98, seeds=3, seed_stderr=0.01) == pytest.approx(
        expected, abs=1e-6
    )
