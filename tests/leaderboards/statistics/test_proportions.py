"""Shares of few items: against scipy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from leaderboards.statistics.proportions import agresti_coull_error, count_behind, wilson


@pytest.mark.parametrize(("right", "n"), [(0, 14), (1, 14), (14, 14), (600, 1319)])
def test_wilson_is_scipys(right, n):
    theirs = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_agresti_coull_by_hand():
    # 0 of 14: 2 of 18 = 0.1111; sqrt(0.1111 * 0.8889 / 18) = 0.07407
    assert agresti_coull_error(0, 14) == pytest.approx(0.074074, abs=1e-6)
    assert agresti_coull_error(3, 4) == pytest.approx(math.sqrt(0.625 * 0.375 / 8))


def test_wilson_covers_where_the_plain_interval_does_not():
    """Share 0.05 of 20 items, 20,000 draws: nominal 95 %."""
    draws = np.random.default_rng(0).binomial(20, 0.05, 20_000)
    inside = {k: wilson(k, 20)[0] <= 0.05 <= wilson(k, 20)[1] for k in range(21)}
    assert np.mean([inside[k] for k in draws]) > 0.9
    plain = {
        k: abs(k / 20 - 0.05) <= 1.96 * math.sqrt(k / 20 * (1 - k / 20) / 19) for k in range(21)
    }
    assert np.mean([plain[k] for k in draws]) < 0.7


def test_only_shares_of_right_answers_are_counted():
    assert count_behind(75.0, 25.0, 4) == 3
    assert count_behind(0.0, 0.0, 14) == 0
    assert count_behind(100.0, None, 1) == 1
    assert count_behind(75.0, 12.0, 4) is None  # clustered or weighted
    assert count_behind(37.3, 5.0, 4) is None
