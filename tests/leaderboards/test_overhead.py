"""What each stage of each arm took, by hand."""

import pytest

from leaderboards.overhead import overhead_rows, spent_by_stage, totals
from leaderboards.runs import read_run
from tests.leaderboards.example_runs import add_eval, start_run, write_stage


@pytest.fixture
def run(tmp_path):
    run = start_run(tmp_path, arms=["ultrafeedback", "pbaa", "sso"])
    add_eval(run, "gsm8k", [1, 0])
    for name, kind, seconds, tokens, memory in (
        ("principles-1", "sample", 10, 100, 3.0),
        ("ultrafeedback/iter-1/pairs", "sample", 2, 0, 1.0),
        ("ultrafeedback/iter-1/policy", "train", 8, 50, 2.0),
        ("pbaa/iter-1/sample", "sample", 20, 200, 1.0),
        ("pbaa/iter-1/policy", "train", 10, 50, 2.0),
        ("sso/iter-1/sample", "sample", 20, 200, 1.0),
        ("sso/iter-1/generator", "train", 15, 80, 2.5),
        ("sso/iter-1/pairs", "sample", 20, 200, 1.0),
        ("sso/iter-1/policy", "train", 15, 50, 2.0),
        ("sso/iter-1/pair_accuracy", "judge", 99, 9, 9.0),
    ):
        folder = run / name
        folder.mkdir(parents=True)
        write_stage(run, folder, kind=kind, seconds=seconds, tokens=tokens, peak_memory_gb=memory)
    return read_run(run)


def test_stages_in_order_and_shared_principles_with_each_arm_that_reads_them(run):
    found = [(s.arm, s.stage, s.seconds) for s in spent_by_stage(run)]
    assert found[:2] == [("ultrafeedback", "pairs", 2.0), ("ultrafeedback", "policy", 8.0)]
    assert ("pbaa", "principles", 10.0) in found
    assert [stage for arm, stage, _ in found if arm == "sso"] == [
        "principles", "sample", "generator", "pairs", "policy", "pair_accuracy",
    ]  # fmt: skip


def test_totals_and_ratios_leave_the_judge_out(run):
    whole = totals(spent_by_stage(run))
    assert (whole["ultrafeedback"].seconds, whole["pbaa"].seconds, whole["sso"].seconds) == (
        10,
        40,
        80,
    )
    assert whole["sso"].tokens == 630
    assert whole["sso"].memory_gb == 3.0
    last = overhead_rows(run)[-1]
    assert last[:3] == ("sso", "all", "80.0")
    assert last[-2:] == ("8.00", "2.00")
