"""The gate: its decisions, its baseline file, its outputs and what it refuses."""

import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy import stats

from groundwork.errors import UserError
from leaderboards import check, save_baseline, write_outputs
from leaderboards.compare import Comparison
from leaderboards.gate.baseline import load_baseline, stored_id
from leaderboards.gate.decide import decide, largest_loss, p_worse
from leaderboards.gate.outputs import gate_text, to_junit, to_markdown
from leaderboards.statistics.noninferiority import (
    lower_bound,
    lower_bound_counts,
    lower_bound_unchanged,
    p_worse_counts,
)
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run


def counted(lost, gained, n=1000):
    difference = (gained - lost) / n * 100
    return Comparison(difference, 1.0, n - 1, 1.0, n, "mcnemar", counts=(lost, gained), span=100.0)


def normal(difference, stderr):
    return Comparison(difference, stderr, math.inf, 1.0, 800, "paired t", span=1.0)


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


def test_bound_over_seeds_by_hand():
    # Means 10 lost and 4 gained of 98, as above; 3 seeds, error between them 0.01; t(0.95, 2) 2.919986
    items = 1.644854 * math.sqrt((0.15 - 0.0036) / 100)
    expected = -0.06 - math.hypot(items, 2.919986 * 0.01)
    assert lower_bound_counts(10, 4, 98, seeds=3, seed_stderr=0.01) == pytest.approx(
        expected, abs=1e-6
    )


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
        check(run, run, benchmarks=["gsm9k"])
    with pytest.raises(UserError, match="no benchmark 'math'"):
        check(run, run, minimum_effects={"math": 2})
    with pytest.raises(UserError, match="alpha"):
        check(run, run, alpha=5)
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
    assert check(runs[2], runs[0], minimum_effects={"gsm8k": 15}).status == "pass"
    assert check(runs[2], runs[0], benchmarks=["mt_bench"]).status == "pass"


def test_cannot_tell_and_what_to_make_of_it(tmp_path):
    made = []
    for name, share in (("a", 0.5), ("b", 0.45)):
        run = start_run(tmp_path, name)
        add_eval(run, "gsm8k", coin_flips(40, share, 3))
        made.append(run)
    codes = {
        choice: check(made[1], made[0], inconclusive=choice).exit_code
        for choice in ("report", "pass", "fail")
    }
    assert codes == {"report": 3, "pass": 0, "fail": 1}


def test_a_baseline_file_gives_the_same_verdict_as_the_run(runs, tmp_path):
    path = save_baseline(runs[0], tmp_path / "out" / "baseline.json")
    for run in runs[1:]:
        by_run, by_file = check(run, runs[0]), check(run, path)
        assert by_file.checks == by_run.checks
    assert path.stat().st_size < 20_000


def test_a_baseline_holds_no_text(tmp_path):
    run = start_run(tmp_path)
    ids = ["What is the mass of the particle?", "gpqa/17"]
    outputs = [{"item_id": i, "output": "secret question text"} for i in ids]
    add_eval(run, "gpqa", [1, 0], ids=ids, outputs=outputs)
    path = save_baseline(run, tmp_path / "baseline.json")
    text = path.read_text()
    assert "particle" not in text
    assert "secret" not in text
    assert stored_id("gpqa/17") == "gpqa/17"
    assert check(run, path).checks[0].difference == 0.0


def test_trained_arms_are_checked_at_their_last_iteration(tmp_path):
    run = start_run(tmp_path)
    values = coin_flips(500, 0.5, 0)
    add_eval(run, "gsm8k", values)
    for step in (1, 2):
        add_eval(run, "gsm8k", values, arm="sso", iteration=step)
    result = check(run, run)
    assert [(c.arm, c.iteration) for c in result.checks] == [("sso", 2)]
    assert [(c.arm, c.iteration) for c in check(run, run, arm="sso", iteration=1).checks] == [
        ("sso", 1)
    ]
    with pytest.raises(UserError, match="no checkpoint sso 3; it has base up to 0, sso up to 2"):
        check(run, run, arm="sso", iteration=3)


def test_a_benchmark_that_is_missing_is_not_a_pass(runs, tmp_path):
    partial = start_run(tmp_path, "partial")
    add_eval(partial, "gsm8k", coin_flips(600, 0.6, 0))
    add_eval(partial, "math", [1, 0])
    result = check(partial, runs[0])
    assert result.status == "cannot tell"
    assert result.checks[1].reason == "not evaluated in this run"
    assert result.remarks == ("Not in the baseline and not checked: math.",)


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {**c, "kind": "other"}, "not a baseline file"),
        (lambda c: {**c, "schema": 9}, "has schema 9; this release reads up to 1"),
        (lambda c: {**c, "scores": []}, "holds no scores"),
        (
            lambda c: {**c, "scores": [{**c["scores"][0], "value": float("nan")}]},
            "score 1 is damaged",
        ),
        (lambda c: {**c, "scores": [{**c["scores"][0], "values": "01"}]}, "600 items but 2 values"),
    ],
)
def test_bad_baselines(runs, tmp_path, change, message):
    path = save_baseline(runs[0], tmp_path / "baseline.json")
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UserError, match=message):
        check(runs[1], path)
    path.write_text('{"kind": "sso-bench base')
    with pytest.raises(UserError, match="damaged or half written"):
        load_baseline(path)


def test_outputs(runs, tmp_path, monkeypatch):
    step = tmp_path / "step.md"
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    result = check(runs[2], runs[0])
    paths = {"junit": tmp_path / "j.xml", "summary": tmp_path / "s.md", "json": tmp_path / "g.json"}
    assert write_outputs(result, **paths) == [*paths.values(), step]
    suite = ET.parse(paths["junit"]).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "0")
    assert suite[0].find("failure").get("message").startswith("a real loss of 10")
    content = json.loads(paths["json"].read_text())
    assert (content["status"], content["exit_code"]) == ("fail", 1)
    assert content["checks"][0]["benchmark"] == "gsm8k"
    assert step.read_text().startswith("before\n### ❌ Evaluation gate: fail")
    assert "| ❌ | gsm8k | 60.00 | 50.00 | -10.00 |" in paths["summary"].read_text()
    assert gate_text(result).endswith("gate: fail\n")


def test_outputs_escape_what_they_are_given(tmp_path):
    run = start_run(tmp_path, '<b>&"run')
    add_eval(run, 'x<y>&"z', [1, 0] * 50)
    result = check(run, run)
    ET.fromstring(to_junit(result).encode())
    assert "<b>" not in to_markdown(result)


def test_cannot_write(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write"):
        write_outputs(check(runs[1], runs[0]), json=tmp_path / "file" / "x.json")
