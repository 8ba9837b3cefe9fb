"""The method's own quantities beside the scores."""

import math

import pytest

from leaderboards import iteration_table, load_runs, render_table
from leaderboards.method_figures import gaps_of, method_rows
from leaderboards.runs import read_run
from leaderboards.table import cell
from tests.leaderboards.example_runs import add_eval, start_run, write_lines, write_stage


@pytest.fixture
def run(tmp_path):
    """One iteration with fresh pairs; the first sample's figures don't count."""
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0], marks=("sample-data",))
    add_eval(run, "gsm8k", [1, 1], arm="sso", iteration=1, marks=("sample-data",))
    add_eval(run, "math", [1, 1], arm="sso", iteration=1, marks=("sample-data",))
    base = run / "sso" / "iter-1"
    old = {"chosen_logp": -9.0, "rejected_logp": -9.0, "original_logp": -1.0}
    new = {
        "chosen_logp": math.log(0.3),
        "rejected_logp": math.log(0.2),
        "original_logp": math.log(0.6),
    }
    for name, kind, minute, measures, counts in (
        ("sample", "sample", 1, old, {"pairs": 9}),
        ("generator", "train", 2, {"final_kl_to_ref": 7.0}, {}),
        ("pairs", "sample", 3, new, {"pairs": 6}),
        ("policy", "train", 4, {"kl_to_ref": 0.1, "final_kl_to_ref": 0.25}, {"pairs": 6}),
    ):
        (base / name).mkdir(parents=True)
        started = f"2026-01-01T00:0{minute}:00"
        write_stage(run, base / name, kind=kind, measures=measures, counts=counts, started=started)
    rows = [
        {"chosen_logp": x, "rejected_logp": -2.0, "original_logp": 0.0} for x in (-1.0, -1.5, -2.0)
    ]
    write_lines(base / "pairs" / "quality.jsonl", *rows)
    return run


def test_quantities_by_hand(run):
    found = {row["metric"]: (row["value"], row["stderr"]) for row in method_rows(read_run(run))}
    assert found["p_plus"] == (pytest.approx(30.0), None)
    assert found["p_minus"] == (pytest.approx(20.0), None)
    sides = [50 * (math.exp(x) + math.exp(-2.0)) for x in (-1.0, -1.5, -2.0)]
    assert found["p_avg"][0] == pytest.approx(sum(sides) / 3)
    # standard deviation 0.5 over the root of 3 pairs
    assert found["gap"] == (pytest.approx(math.log(0.5)), pytest.approx(0.5 / math.sqrt(3)))
    assert (found["kl"], found["pairs"]) == ((0.25, None), (6.0, None))


def test_they_stand_beside_the_scores_without_rank_sign_or_note(run):
    table = iteration_table(load_runs([run]))
    assert table.columns == ("MATH", "GSM8K", "P(y+)", "P(y-)", "Gap", "KL", "Pairs", "Avg. prob.")
    gap = cell(table, "tiny", ("SSO", "Iter1"), "gap")
    assert (gap.text, gap.error_text, gap.rank, gap.notes) == ("-0.693", "0.289", 0, ())
    assert cell(table, "tiny", ("base", ""), "gap").text == "-"
    assert table.shared_notes == ("items written for this project, not the published benchmark",)
    shown = render_table([run])
    assert "Gap: average log-probability" in shown
    assert ("Avg. prob." in shown) == ("Avg. prob.: the paper's" in shown)


def test_a_checkpoint_without_scores_has_no_row(run):
    folder = run / "sso" / "iter-2" / "sample"
    folder.mkdir(parents=True)
    write_stage(run, folder, kind="sample", counts={"pairs": 3})
    assert {row["iteration"] for row in method_rows(read_run(run))} == {1}


def test_gaps_are_read_or_made_from_log_probabilities():
    assert gaps_of({"chosen_gap": -0.5, "rejected_gap": -1.5}) == {"chosen": -0.5, "rejected": -1.5}
    logps = {"chosen_logp": -2.0, "rejected_logp": -3.0, "original_logp": -1.0}
    assert gaps_of(logps) == {"chosen": -1.0, "rejected": -2.0}
    assert gaps_of({"chosen_logp": -2.0}) is None
