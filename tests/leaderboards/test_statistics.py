"""The statistics against scipy, statsmodels and values worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from leaderboards.statistics.bootstrap import mean_bootstrap, paired_bootstrap, refit_bootstrap
from leaderboards.statistics.changes import change_points
from leaderboards.statistics.correction import benjamini_hochberg, bonferroni, holm
from leaderboards.statistics.errors import clustered_standard_error, standard_error
from leaderboards.statistics.paired import from_estimate, mcnemar, paired_t, sign_flip_p
from leaderboards.statistics.power import (
    achieved_power,
    detectable_difference,
    items_needed,
    paired_sd_of_accuracy,
)

RNG = np.random.default_rng(7)
FIRST = RNG.normal(size=60)
SECOND = FIRST * 0.6 + RNG.normal(0.3, 1, size=60)


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


def test_sign_flip_matches_the_full_enumeration():
    d = np.array([0.5, 1.0, 1.5, -0.2, 2.0, 0.7, 0.9, 1.1])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1).T
    exact = float(np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-12))
    assert sign_flip_p(d, draws=40_000) == pytest.approx(exact, abs=0.003)


def test_mean_bootstrap_agrees_with_the_formula():
    interval = mean_bootstrap(FIRST, draws=8000)
    plain = FIRST.std() / math.sqrt(60)
    assert interval.value == pytest.approx(FIRST.mean())
    assert interval.stderr == pytest.approx(plain, rel=0.03)
    assert interval.ci_high - interval.ci_low == pytest.approx(2 * 1.96 * plain, rel=0.05)


def test_bootstrap_is_seeded_and_clusters_widen_it():
    doubled, labels = np.repeat(FIRST, 2), np.repeat(np.arange(60), 2).tolist()
    assert mean_bootstrap(FIRST, seed=3) == mean_bootstrap(FIRST, seed=3)
    clustered = mean_bootstrap(doubled, clusters=labels, draws=6000)
    assert clustered.stderr == pytest.approx(FIRST.std() / math.sqrt(60), rel=0.05)


def test_paired_bootstrap_of_differences():
    interval = paired_bootstrap(FIRST, SECOND, draws=6000)
    d = SECOND - FIRST
    assert interval.value == pytest.approx(d.mean())
    assert interval.stderr == pytest.approx(d.std() / math.sqrt(60), rel=0.05)


def test_refit_bootstrap_refits_and_redraws_degenerate_samples():
    def statistic(index):
        sample = FIRST[index]
        if sample.mean() > FIRST.mean() + 2.5 * FIRST.std() / math.sqrt(60):
            raise ValueError("degenerate")
        return np.median(sample)

    interval = refit_bootstrap(statistic, 60, draws=2000)
    scipys = stats.bootstrap((FIRST,), np.median, n_resamples=4000, method="percentile", rng=1)
    assert interval.value == pytest.approx(np.median(FIRST))
    assert interval.stderr == pytest.approx(scipys.standard_error, rel=0.1)
    with pytest.raises(ValueError, match="0 of 5"):
        refit_bootstrap(lambda index: float("nan"), 10, draws=5)


@pytest.mark.parametrize(
    ("ours", "method"),
    [(holm, "holm"), (bonferroni, "bonferroni"), (benjamini_hochberg, "fdr_bh")],
)
def test_corrections_are_statsmodels(ours, method):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.5, 0.03, 1.0])
    np.testing.assert_allclose(ours(p), multitest.multipletests(p, method=method)[1])


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])


def test_detectable_difference_and_power_are_inverse():
    d = detectable_difference(1.3)
    assert d == pytest.approx(1.3 * (1.959964 + 0.841621), rel=1e-6)
    assert achieved_power(d, 1.3) == pytest.approx(0.8, abs=1e-4)
    assert achieved_power(0, 1.3) == pytest.approx(0.05)
    assert detectable_difference(1.3, comparisons=8) > d


def test_power_is_statsmodels_normal_power():
    power = pytest.importorskip("statsmodels.stats.power")
    expected = power.NormalIndPower(ddof=0).power(0.4, nobs1=50, alpha=0.05, ratio=0)
    assert achieved_power(0.4, 1 / math.sqrt(50)) == pytest.approx(expected, rel=1e-6)


def test_items_needed_for_gsm8k():
    # agreement 0.8 -> sd sqrt(0.2); 3 points need (2.8016 * 0.44721 / 0.03)^2 = 1744.2 items
    sd = paired_sd_of_accuracy(0.6, 0.8)
    assert sd == pytest.approx(math.sqrt(0.2))
    assert items_needed(0.03, sd) == 1745
    with pytest.raises(ValueError, match="zero"):
        items_needed(0, sd)
    with pytest.raises(ValueError, match="agreement"):
        paired_sd_of_accuracy(0.5, 1.2)


def test_change_point_is_found_where_it_is():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(40, 1, 15), rng.normal(44, 1, 12)])
    (change,) = change_points(values, np.ones(27))
    assert change.index == 15
    assert change.difference == pytest.approx(4, abs=1.2)


def test_no_change_points_in_noise():
    rng = np.random.default_rng(5)
    alarms = sum(bool(change_points(rng.normal(size=20), np.ones(20))) for _ in range(100))
    assert alarms <= 5  # nominal 1 %; P(more than 5 of 100) < 0.001


def test_short_or_noisier_series():
    assert change_points([1, 9, 1], [0.1, 0.1, 0.1]) == []
    rng = np.random.default_rng(11)
    jumpy = rng.normal(0, 5, size=20)  # errors of 0.5 understate this scatter tenfold
    assert change_points(jumpy, np.full(20, 0.5)) == []
