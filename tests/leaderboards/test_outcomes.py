"""Wins, ties and losses against base, and the verdict in words."""

import numpy as np
import pytest
from scipy import stats

from leaderboards import load_runs, over_seeds
from leaderboards.compare import ItemStore
from leaderboards.identity import arms_of_records
from leaderboards.outcomes import final_contests
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run


def contests(*runs):
    records = over_seeds(load_runs(runs))
    return final_contests(records, arms_of_records(records), ItemStore())


@pytest.fixture
def run(tmp_path):
    """SSO: 50 of 200 items gained on GSM8K, one lost on MATH; only the last iteration counts."""
    run = start_run(tmp_path)
    base = np.array(coin_flips(200, 0.4, 0))
    better, slightly = base.copy(), base.copy()
    better[np.flatnonzero(base == 0)[:50]] = 1
    slightly[np.flatnonzero(base == 1)[0]] = 0
    for name, after in (("gsm8k", better), ("math", slightly)):
        add_eval(run, name, base.tolist())
        add_eval(run, name, [0.0, 1.0] * 100, arm="sso", iteration=1)
        add_eval(run, name, after.tolist(), arm="sso", iteration=2)
    return run


def test_counts_and_corrected_p_values(run):
    (one,) = contests(run)
    math, gsm8k = one.outcomes
    assert [o.column.label for o in one.outcomes] == ["MATH", "GSM8K"]
    assert (gsm8k.wins, gsm8k.ties, gsm8k.losses) == (50, 150, 0)
    assert (math.wins, math.ties, math.losses) == (0, 199, 1)
    assert gsm8k.p_value == pytest.approx(2 * stats.binomtest(50, 50).pvalue)
    assert (gsm8k.change, math.change) == (1, 0)


def test_the_verdict_in_words(run):
    (one,) = contests(run)
    # the error of a mean difference of 50 ones in 200: sqrt(0.25 * 0.75 / 199) = 3.07 points
    assert one.verdict == (
        "SSO after 2 iterations against base on 2 benchmarks: better on 1 "
        "(GSM8K 40.0 → 65.0, +25.0 ±3.1), worse on none, no change beyond noise on 1."
    )


def test_a_verdict_of_noise_says_so(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0, 1, 0])
    add_eval(run, "gsm8k", [1, 1, 1, 0], arm="sso", iteration=1)
    (one,) = contests(run)
    assert one.verdict == (
        "SSO after 1 iteration can't be told from base on any of 1 benchmark: "
        "largest change GSM8K 50.0 → 75.0, +25.0 ±25.0."
    )


def test_nothing_in_common(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    add_eval(run, "math", [1, 0], arm="sso", iteration=1)
    (one,) = contests(run)
    assert one.verdict == "SSO after 1 iteration and base have no benchmark in common."


def test_pair_accuracy_is_no_benchmark(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "pair_accuracy", [1, 0], arm="sso", iteration=1)
    assert contests(run) == []
