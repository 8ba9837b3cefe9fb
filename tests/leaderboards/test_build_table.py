"""Tables: rows, columns, ranks, marks."""

import json

import pytest

from leaderboards import iteration_table, load_runs, render_table
from leaderboards.build_table import build_table, ranks
from leaderboards.layouts import layout_named
from leaderboards.table import Cell, cell
from tests.leaderboards.example_runs import add_eval, add_score, coin_flips, start_run


def test_rows_columns_and_values(run):
    table = iteration_table(load_runs([run]))
    assert table.columns == ("MT", "GSM8K")
    labels = [row.labels for row in table.groups[0].rows]
    assert labels == [("base", ""), ("PBAA", "Iter1"), ("SSO", "Iter1"), ("SSO", "Iter2")]
    assert cell(table, "tiny", ("SSO", "Iter2"), "gsm8k").text == "65.0"
    assert cell(table, "tiny", ("SSO", "Iter1"), "mt_bench").text == "6.10"
    assert cell(table, "tiny", ("SSO", "Iter2"), "mt_bench").text == "-"


def test_other_protocols_and_sample_data_are_marked(run):
    table = iteration_table(load_runs([run]))
    notes = dict(table.notes)
    (key,) = table.notes_of_column(table.keys.index("gsm8k"))
    assert "written for this project" in notes[key]
    (other,) = cell(table, "tiny", ("PBAA", "Iter1"), "gsm8k").notes
    assert notes[other] == "another protocol (gsm8k@2) than the column's (gsm8k@1)"
    assert cell(table, "tiny", ("PBAA", "Iter1"), "gsm8k").versus_base == 0


def ranked(frame):
    rows = iteration_table(frame).groups[0].rows
    return {" ".join(row.labels).strip(): row.cells[0].rank for row in rows}


def test_a_figure_of_another_protocol_is_never_the_best(tmp_path):
    run = start_run(tmp_path)
    base = coin_flips(40, 0.2, 0)
    add_eval(run, "gsm8k", base)
    better = [1.0] * 30 + base[30:]
    add_eval(run, "gsm8k", better, arm="sso", iteration=1)
    add_eval(run, "gsm8k", [1.0] * 40, arm="pbaa", iteration=1, protocol="gsm8k@2")
    assert ranked(load_runs([run])) == {"base": 0, "PBAA Iter1": 0, "SSO Iter1": 1}


def test_bold_is_what_can_not_be_told_from_the_best_on_the_same_items(tmp_path):
    run = start_run(tmp_path)
    base = [1.0] * 10 + [0.0] * 90
    add_eval(run, "gsm8k", base)
    for arm, right in (("sso", 60), ("pbaa", 58), ("ultrafeedback", 30)):
        add_eval(run, "gsm8k", [1.0] * right + [0.0] * (100 - right), arm=arm, iteration=1)
    other = [f"other-{i}" for i in range(100)]
    add_eval(run, "gsm8k", [1.0] * 59 + [0.0] * 41, arm="without-g", iteration=1, ids=other)
    # 60 against 58: two items changed, p = 0.5; against 30: thirty changed; other items: no answer.
    expected = {"base": 0, "UltraFeedback Iter1": 0, "PBAA Iter1": 1, "SSO Iter1": 1}
    assert ranked(load_runs([run])) == {**expected, "SSO w/o G Iter1": 0}


def test_nothing_is_bold_where_all_is_noise(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0, 1, 0, 0, 0, 1, 0])
    add_eval(run, "gsm8k", [1, 0, 1, 1, 0, 0, 1, 0], arm="sso", iteration=1)
    assert set(ranked(load_runs([run])).values()) == {0}
    text = render_table([run])
    assert "Bold" not in text


def test_none_right_of_fourteen_is_not_known_exactly(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [0.0] * 14)
    add_eval(run, "gsm8k", [0.0] * 13 + [1.0], arm="sso", iteration=1)
    # Agresti and Coull: 2 of 18, sqrt(0.1111 * 0.8889 / 18) = 7.4 %
    assert (
        cell(iteration_table(load_runs([run])), "tiny", ("base", ""), "gsm8k").error_text == "7.4"
    )
    # Of 14: Wilson's upper end z^2 / (14 + z^2) = 21.5 %
    (low, high) = load_runs([run]).loc[0, ["ci_low", "ci_high"]]
    assert (low, high) == (0.0, pytest.approx(21.53, abs=0.01))


def test_notes_of_every_figure_stand_once_under_the_table(tmp_path):
    run = start_run(tmp_path)
    for benchmark, marks in (("gsm8k", ("sample-data", "item-limit")), ("math", ("sample-data",))):
        add_eval(run, benchmark, [1, 0, 1], marks=marks)
    table = iteration_table(load_runs([run]))
    assert table.shared_notes == ("items written for this project, not the published benchmark",)
    assert table.column_notes == ((), ("a",))
    assert table.notes == (("a", "a sample of the items, not the whole benchmark"),)
    text = render_table([run])
    assert text.count("written for this project") == 1
    assert "All figures: items written for this project, not the published benchmark." in text
    csv_rows = render_table([run], format="csv").splitlines()
    assert csv_rows[1].count("written for this project") == 2


def test_counts_and_unfinished_stages_are_reported(run):
    folder = add_eval(run, "math", [1, 0, 1], n_truncated=2, n_unparsed=1, n_error=1, n_expected=5)
    half = add_eval(run, "gpqa", [1, 0])
    (half / "stage.json").unlink()
    text = render_table([run])
    assert folder.is_dir()
    assert "Answers cut at the token limit, by checkpoint: math 2 of 5." in text
    assert "Answers failed, by checkpoint: math 1 of 5." in text
    assert "only 3 of 5 items are in the figure" in text
    assert "left out: demo: base/eval/gpqa" in text


def test_two_runs_of_one_checkpoint_stay_apart(run, tmp_path):
    other = start_run(tmp_path, "other")
    add_eval(other, "gsm8k", coin_flips(200, 0.9, 0))
    table = iteration_table(load_runs([run, other]))
    assert {group.title for group in table.groups} == {"tiny · demo", "tiny · other"}


def test_ranks_follow_the_printed_values():
    cells = [Cell(61.04), Cell(61.0), Cell(60.0), Cell(59.0), Cell()]
    assert ranks(cells, 1) == [1, 1, 2, 0, 0]
    assert ranks(cells, 0) == [0] * 5
    assert ranks([Cell(1.0), Cell(1.0)], 1) == [0, 0]


def test_headline_metric_is_shown_and_lengths_never_ranked(tmp_path):
    run = start_run(tmp_path)
    for arm, iteration, length in (("base", 0, 900.0), ("sso", 1, 1500.0)):
        folder = add_eval(
            run, "alpaca_eval", [0.1, 0.4], metric="lc_win_rate", arm=arm, iteration=iteration
        )
        add_score(folder, benchmark="alpaca_eval", metric="length", value=length, unit="characters",
                  n=2, n_expected=2, protocol="alpaca_eval@1", arm=arm, iteration=iteration)  # fmt: skip
    table = build_table(load_runs([run]), layout_named("iterations"))
    assert table.columns == ("Len", "AE2")
    shown = cell(table, "tiny", ("SSO", "Iter1"), "length")
    assert (shown.text, shown.rank) == ("1500", 0)
    assert json.loads((run / "run.json").read_text())["model"] == "tiny"


def test_a_column_and_an_ablation_that_nobody_listed(tmp_path):
    arm_info = {"half": {"title": "Half of it", "order": 55, "ablation": True}}
    run = start_run(tmp_path, arm_info=arm_info)
    column = {"title": "Riddles", "column": "riddles", "label": "RID", "order": 15}
    for arm, iteration in (("base", 0), ("half", 1)):
        at = {"arm": arm, "iteration": iteration}
        add_eval(run, "riddles", [1, 0, 1], info=column, **at)
        add_eval(run, "mt_bench", [5.0, 6.0], metric="average", unit="points", **at)
        add_eval(run, "gsm8k", [1, 0], **at)
    frame = load_runs([run])
    assert iteration_table(frame).columns == ("RID", "MT", "GSM8K")
    ablation = build_table(frame, layout_named("ablation-iterations"))
    assert [row.labels for row in ablation.groups[0].rows] == [
        ("base", ""),
        ("Half of it", "Iter1"),
    ]
    assert ablation.columns == ("MT",)
