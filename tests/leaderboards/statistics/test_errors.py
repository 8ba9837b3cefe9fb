"""Standard errors against scipy, statsmodels and values worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from leaderboards.statistics.errors import clustered_standard_error, standard_error

RNG = np.random.default_rng(7)


FIRST = RNG.normal(size=60)


def test_standard_error_is_scipys_sem():
    assert standard_error(FIRST) == pytest.approx(stats.sem(FIRST))
    assert math.isnan(standard_error([1.0]))


def test_clustered_standard_error_by_hand():
    # mean 2.5; cluster sums of residuals: a -2 + -1 = -2 (values 1, 2), b 1 (values 3, 4) -> 2
    # a: (1-2.5)+(2-2.5) = -2; b: (3-2.5)+(4-2.5) = 2; sqrt(2/1 * (4+4)) / 4 = 1
    assert clustered_standard_error([1, 2, 3, 4], ["a", "a", "b", "b"]) == pytest.approx(1.0)


def test_clustered_standard_error_is_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    groups = RNG.integers(0, 20, size=60)
    fit = sm.OLS(FIRST, np.ones(60)).fit()
    robust = fit.get_robustcov_results("cluster", groups=groups, use_correction=False)
    count = len(set(groups))
    expected = float(robust.bse[0]) * math.sqrt(count / (count - 1))
    assert clustered_standard_error(FIRST, groups.tolist()) == pytest.approx(expected)


def test_singleton_clusters_give_the_plain_error():
    labels = [str(i) for i in range(60)]
    assert clustered_standard_error(FIRST, labels) == pytest.approx(standard_error(FIRST))


def test_duplicated_items_in_clusters_do_not_shrink_the_error():
    doubled, labels = np.repeat(FIRST, 2), np.repeat(np.arange(60), 2).tolist()
    assert clustered_standard_error(doubled, labels) == pytest.approx(standard_error(FIRST))
    assert standard_error(doubled) < 0.75 * standard_error(FIRST)


def test_cluster_labels_must_fit():
    with pytest.raises(ValueError, match="2 values but 1"):
        clustered_standard_error([1, 2], ["a"])
