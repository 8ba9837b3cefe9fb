"""Paired tests against scipy and statsmodels."""

import math

import numpy as np
import pytest
from scipy import stats

from leaderboards.statistics.errors import clustered_standard_error
from leaderboards.statistics.paired import from_estimate, mcnemar, paired_t

RNG = np.random.default_rng(7)


FIRST = RNG.normal(size=60)


SECOND = FIRST * 0.6 + RNG.normal(0.3, 1, size=60)


def test_paired_t_is_scipys():
    ours, theirs = paired_t(FIRST, SECOND), stats.ttest_rel(SECOND, FIRST)
    interval = theirs.confidence_interval(0.95)
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert (ours.ci_low, ours.ci_high) == pytest.approx((interval.low, interval.high))
    assert ours.df == 59


def test_clustered_t_has_the_degrees_of_freedom_of_its_clusters():
    labels = ["a"] * 20 + ["b"] * 20 + ["c"] * 20
    result = paired_t(FIRST, SECOND, labels)
    error = clustered_standard_error(SECOND - FIRST, labels)
    assert result.df == 2
    assert result.p_value == pytest.approx(2 * stats.t(2).sf(abs(result.difference) / error))


def test_paired_t_without_variation():
    assert paired_t([1, 1, 1], [1, 1, 1]).p_value == 1.0
    assert paired_t([0, 0, 0], [1, 1, 1]).p_value == 0.0
    assert paired_t([0], [1]).p_value == 1.0


def test_from_estimate_with_normal_law():
    assert from_estimate(1.959964, 1.0, math.inf).p_value == pytest.approx(0.05, abs=1e-6)


def test_mcnemar_is_statsmodels_exact_test():
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    a = np.array([1] * 30 + [0] * 30)
    b = np.array([1] * 21 + [0] * 9 + [1] * 17 + [0] * 13)
    ours = mcnemar(a, b)
    theirs = contingency.mcnemar([[21, 9], [17, 13]], exact=True)
    assert (ours.only_first, ours.only_second) == (9, 17)
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert mcnemar(a, a).p_value == 1.0
