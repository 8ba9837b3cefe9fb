"""The gate: a run against a run, and what it refuses."""

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards import GatePolicy, check, read_policy, save_baseline
from leaderboards.statistics.noninferiority import (
    lower_bound_counts,
)
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run


def test_seeds_do_not_make_few_items_many(tmp_path):
    runs = [start_run(tmp_path, name) for name in ("one", "two")]
    for run in runs:
        for seed in range(3):
            flips = coin_flips(8, 0.5, seed)
            add_eval(run, "gsm8k", flips, arm="sso", iteration=1, seed=seed, folder=f"s{seed}")
    result = check(runs[0], runs[1])
    assert result.status == "cannot tell"
    bound = -lower_bound_counts(0, 0, 8) * 100
    assert result.checks[0].largest_loss == pytest.approx(bound)
    file = save_baseline(runs[1], tmp_path / "main.json")
    assert check(runs[0], file).checks[0].largest_loss == pytest.approx(bound)


def test_a_run_with_fewer_seeds_is_compared_on_the_common_ones(tmp_path):
    runs = [start_run(tmp_path, name) for name in ("all", "part")]
    for run, seeds in zip(runs, (3, 2), strict=True):
        for seed in range(seeds):
            flips = coin_flips(100, 0.4 + 0.1 * seed, seed)
            add_eval(run, "gsm8k", flips, arm="sso", iteration=1, seed=seed, folder=f"s{seed}")
    result = check(runs[1], runs[0])
    assert (result.checks[0].before, result.checks[0].after) == (45.0, 45.0)
    assert result.remarks == (
        "sso 1: the baseline has seeds [0, 1, 2], the run [0, 1]; compared on seeds 0, 1.",
    )


def test_names_that_nobody_has_and_impossible_rates(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0, 1, 0])
    with pytest.raises(UserError, match="no benchmark 'gsm9k'"):
        check(run, run, GatePolicy(only=("gsm9k",)))
    with pytest.raises(UserError, match="no benchmark 'math'"):
        check(run, run, read_policy(None, {"benchmarks": {"math": {"effect": 2}}}))
    with pytest.raises(UserError, match="alpha"):
        read_policy(None, {"alpha": 5})
    with pytest.raises(UserError, match="no such baseline"):
        check(run, tmp_path / "none.json")


@pytest.fixture
def runs(tmp_path):
    """(baseline, unchanged run, worse run): GSM8K with 600 items, MT-Bench with 80 questions."""
    rng = np.random.default_rng(1)
    base = np.array(coin_flips(600, 0.6, 0))
    jitter, worse = base.copy(), base.copy()
    jitter[:6] = 1 - jitter[:6]
    worse[np.flatnonzero(base == 1)[:60]] = 0
    ratings = rng.integers(3, 9, 160).astype(float)
    questions = [f"q{i // 2}" for i in range(160)]
    made = []
    for name, flips, rated in (
        ("main", base, ratings),
        ("same", jitter, ratings + rng.normal(0, 0.3, 160)),
        ("worse", worse, ratings),
    ):
        run = start_run(tmp_path, name)
        add_eval(run, "gsm8k", flips.tolist())
        add_eval(run, "mt_bench", rated.tolist(), metric="average", item_metric="rating",
                 unit="points", clusters=questions)  # fmt: skip
        made.append(run)
    return made


def test_an_unchanged_run_passes(runs):
    result = check(runs[1], runs[0])
    assert (result.status, result.exit_code) == ("pass", 0)
    assert [c.method for c in result.checks] == ["mcnemar", "clustered t"]


def test_a_loss_fails(runs):
    result = check(runs[2], runs[0])
    assert (result.status, result.exit_code) == ("fail", 1)
    gsm8k = result.checks[0]
    assert gsm8k.difference == pytest.approx(-10.0)
    assert gsm8k.status == "fail"
    assert result.checks[1].status == "pass"


def test_minimum_effects_and_benchmarks_can_be_chosen(runs):
    assert (
        check(runs[2], runs[0], read_policy(None, {"benchmarks": {"gsm8k": {"effect": 15}}})).status
        == "pass"
    )
    assert check(runs[2], runs[0], GatePolicy(only=("mt_bench",))).status == "pass"


def test_cannot_tell_and_what_to_make_of_it(tmp_path):
    made = []
    for name, share in (("a", 0.5), ("b", 0.45)):
        run = start_run(tmp_path, name)
        add_eval(run, "gsm8k", coin_flips(40, share, 3))
        made.append(run)
    codes = {
        choice: check(made[1], made[0], GatePolicy(inconclusive=choice)).exit_code
        for choice in ("report", "pass", "fail")
    }
    assert codes == {"report": 3, "pass": 0, "fail": 1}


def test_trained_arms_are_checked_at_their_last_iteration(tmp_path):
    run = start_run(tmp_path)
    values = coin_flips(500, 0.5, 0)
    add_eval(run, "gsm8k", values)
    for step in (1, 2):
        add_eval(run, "gsm8k", values, arm="sso", iteration=step)
    result = check(run, run)
    assert [(c.arm, c.iteration) for c in result.checks] == [("sso", 2)]
    assert [
        (c.arm, c.iteration) for c in check(run, run, GatePolicy(arm="sso", iteration=1)).checks
    ] == [("sso", 1)]
    with pytest.raises(UserError, match="no checkpoint sso 3; it has base up to 0, sso up to 2"):
        check(run, run, GatePolicy(arm="sso", iteration=3))


def test_a_benchmark_that_is_missing_is_not_a_pass(runs, tmp_path):
    partial = start_run(tmp_path, "partial")
    add_eval(partial, "gsm8k", coin_flips(600, 0.6, 0))
    add_eval(partial, "math", [1, 0])
    result = check(partial, runs[0])
    assert (result.status, result.exit_code) == ("fail", 1)
    assert result.checks[1].status == "missing"
    assert result.checks[1].reason == "not evaluated in this run"
    assert result.remarks == ("Not in the baseline and not checked: math.",)
    # "Can't tell" as a pass does not let a missing benchmark through; only "missing" does.
    codes = {
        choice: check(partial, runs[0], GatePolicy(inconclusive="pass", missing=choice)).exit_code
        for choice in ("fail", "report", "pass")
    }
    assert codes == {"fail": 1, "report": 3, "pass": 0}


def test_a_withheld_figure_is_missing_and_none_on_both_sides_is_reported(runs, tmp_path):
    made = []
    for name, rated in (("kept", 6.0), ("none", None)):
        run = start_run(tmp_path, name)
        add_eval(run, "gsm8k", coin_flips(600, 0.6, 0))
        add_eval(run, "mt_bench", [5.0, 7.0], metric="average", unit="points", value=rated)
        add_eval(run, "alpaca_eval", [0.5, 0.7], metric="lc_win_rate", value=None)
        made.append(run)
    result = check(made[1], made[0])
    found = {one.benchmark: (one.status, one.reason) for one in result.checks}
    assert found["mt_bench"] == ("missing", "withheld: no usable figure")
    assert "alpaca_eval" not in found
    assert result.remarks == ("No usable figure on either side, not checked: alpaca_eval.",)
    assert result.exit_code == 1


def test_pairs_are_compared_unpaired_whatever_their_number(tmp_path):
    made = []
    for name, n in (("a", 400), ("b", 401)):
        run = start_run(tmp_path, name)
        at = {"arm": "sso", "iteration": 1}
        add_eval(run, "pair_accuracy", coin_flips(n, 0.7, n), folder=".", **at)
        made.append(run)
    (one,) = check(made[1], made[0]).checks
    assert one.method == "unpaired z"
    # 1.6449 times the root of 0.7 * 0.3 * (1/399 + 1/400), and the small change of the share
    share = round(0.7 * 401) / 401
    spread = (0.21 / 399 + share * (1 - share) / 400) ** 0.5
    assert one.largest_loss == pytest.approx(164.4854 * spread - 100 * (share - 0.7), rel=1e-3)
    assert one.status == "pass"


def test_tiers_decide_what_a_verdict_does(runs, tmp_path):
    few = [start_run(tmp_path, name) for name in ("few", "fewer")]
    for run, share in zip(few, (0.5, 0.45), strict=True):
        add_eval(run, "gsm8k", coin_flips(40, share, 3))

    def tiers(**named):
        return read_policy(None, {"benchmarks": {k: {"tier": v} for k, v in named.items()}})

    lost, unclear = (runs[2], runs[0]), (few[1], few[0])
    codes = {
        tier: (
            check(*lost, tiers(gsm8k=tier)).exit_code,
            check(*unclear, tiers(gsm8k=tier)).exit_code,
        )
        for tier in ("critical", "supporting", "advisory")
    }
    assert codes == {"critical": (1, 3), "supporting": (1, 0), "advisory": (0, 0)}
    # An advisory benchmark takes no part in the correction of the others.
    alone = check(*lost, GatePolicy(only=("mt_bench",))).checks[0].p_worse
    beside = check(*lost, tiers(gsm8k="advisory")).checks[1].p_worse
    assert beside == pytest.approx(alone)


def test_flipped_items_are_listed(runs, tmp_path):
    (gsm8k, ratings) = check(runs[2], runs[0]).checks
    assert (len(gsm8k.lost), gsm8k.gained) == (60, ())
    assert (ratings.lost, ratings.gained) == ((), ())
    by_file = check(runs[2], save_baseline(runs[0], tmp_path / "b.json"))
    assert by_file.checks[0].lost == gsm8k.lost


def test_items_with_hashed_ids_are_paired_with_a_baseline_file(tmp_path):
    ids = [f"a question in words, number {n}" for n in range(40)]
    made = []
    for name, values in (("a", [1.0] * 20 + [0.0] * 20), ("b", [1.0] * 21 + [0.0] * 19)):
        run = start_run(tmp_path, name)
        add_eval(run, "gsm8k", values, ids=ids)
        made.append(run)
    (one,) = check(made[1], save_baseline(made[0], tmp_path / "b.json")).checks
    assert (one.method, len(one.gained)) == ("mcnemar", 1)
    assert one.gained[0].startswith("#")
    (by_run,) = check(made[1], made[0]).checks
    assert by_run.gained == one.gained, "ids that could be text are hashed here too"


def test_other_protocols_and_items_are_refused(runs, tmp_path):
    other = start_run(tmp_path, "protocol")
    add_eval(other, "gsm8k", coin_flips(600, 0.6, 0), protocol="gsm8k@2")
    with pytest.raises(
        UserError, match=r"gsm8k: the run's protocol is gsm8k@2, the baseline's is gsm8k@1"
    ):
        check(other, runs[0])
    fewer = start_run(tmp_path, "items")
    add_eval(fewer, "gsm8k", coin_flips(500, 0.6, 0))
    with pytest.raises(
        UserError,
        match=r"gsm8k: .*other items \(600 against 500, 100 differ; item-500 is only in the baseline",
    ):
        check(fewer, runs[0])
    alien = start_run(tmp_path, "alien")
    add_eval(alien, "ifeval", [1, 0])
    with pytest.raises(UserError, match="nothing to compare: the run has base 0 ifeval"):
        check(alien, runs[0])
