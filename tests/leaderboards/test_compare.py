"""Two checkpoints on one benchmark."""

import math

import numpy as np
import pytest
from scipy import stats

from leaderboards import load_runs, over_seeds
from leaderboards.compare import ItemStore, compare_rows
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run


def rows_by_arm(*runs):
    return {row["arm"]: row for row in over_seeds(load_runs(runs))}


def test_accuracy_is_compared_by_mcnemar(tmp_path):
    run = start_run(tmp_path)
    before, after = coin_flips(80, 0.5, 1), coin_flips(80, 0.7, 2)
    add_eval(run, "gsm8k", before)
    add_eval(run, "gsm8k", after, arm="sso", iteration=1)
    rows = rows_by_arm(run)
    result = compare_rows(rows["base"], rows["sso"], ItemStore())
    won = sum(b > a for a, b in zip(before, after, strict=True))
    lost = sum(b < a for a, b in zip(before, after, strict=True))
    assert result.method == "mcnemar"
    assert result.difference == pytest.approx(20.0)
    assert result.p_value == pytest.approx(stats.binomtest(won, won + lost).pvalue)


def test_ratings_of_one_question_are_clustered(tmp_path):
    run = start_run(tmp_path)
    rng = np.random.default_rng(0)
    questions = [f"q{i // 2}" for i in range(40)]
    before = rng.integers(1, 11, 40).astype(float).tolist()
    after = [min(10.0, value + 1 + (i % 3)) for i, value in enumerate(before)]
    for arm, iteration, values in (("base", 0, before), ("sso", 1, after)):
        add_eval(run, "mt_bench", values, metric="average", item_metric="rating", unit="points",
                 clusters=questions, arm=arm, iteration=iteration)  # fmt: skip
    rows = rows_by_arm(run)
    result = compare_rows(rows["base"], rows["sso"], ItemStore())
    assert (result.method, result.df) == ("clustered t", 19)


def test_a_model_based_rate_uses_the_correlation_of_its_items(tmp_path):
    run = start_run(tmp_path)
    rng = np.random.default_rng(0)
    before = rng.random(200)
    after = 0.8 * before + 0.2 * rng.random(200)
    for arm, iteration, values, lc in (("base", 0, before, 20.0), ("sso", 1, after, 24.0)):
        add_eval(run, "alpaca_eval", values.tolist(), metric="lc_win_rate", item_metric="win_rate",
                 value=lc, stderr=1.5, arm=arm, iteration=iteration)  # fmt: skip
    rows = rows_by_arm(run)
    result = compare_rows(rows["base"], rows["sso"], ItemStore())
    rho = np.corrcoef(before, after)[0, 1]
    assert result.method == "correlated z"
    assert result.stderr == pytest.approx(1.5 * math.sqrt(2 - 2 * rho))
    assert result.difference == 4.0


def test_protocols_must_agree_and_missing_items_fall_back(tmp_path):
    run = start_run(tmp_path)
    folder = add_eval(run, "gsm8k", [1, 0, 1, 0])
    add_eval(run, "gsm8k", [1, 1, 1, 0], arm="sso", iteration=1)
    add_eval(run, "gsm8k", [1, 1, 1, 0], arm="pbaa", iteration=1, protocol="gsm8k@2")
    (folder / "items.jsonl").unlink()
    rows = rows_by_arm(run)
    assert compare_rows(rows["base"], rows["pbaa"], ItemStore()) is None
    result = compare_rows(rows["base"], rows["sso"], ItemStore())
    assert result.method == "unpaired z"
    assert result.stderr == pytest.approx(math.hypot(rows["base"]["stderr"], rows["sso"]["stderr"]))


def test_several_seeds_add_their_own_noise(tmp_path):
    runs = []
    for seed in range(3):
        run = start_run(tmp_path, f"s{seed}")
        add_eval(run, "gsm8k", coin_flips(100, 0.4, 50), seed=seed)
        share = 0.5 + 0.05 * seed
        add_eval(run, "gsm8k", coin_flips(100, share, seed), seed=seed, arm="sso", iteration=1)
        runs.append(run)
    rows = rows_by_arm(*runs)
    result = compare_rows(rows["base"], rows["sso"], ItemStore())
    assert result.difference == pytest.approx(15.0)
    assert result.method == "paired t + seeds"
    between = np.var([10, 15, 20], ddof=1) / 3
    assert result.stderr**2 > between
    assert result.df < 99
