"""Tables: rows, columns, ranks, marks."""

import json

import numpy as np
import pytest

from leaderboards import iteration_table, load_runs, render_table
from leaderboards.build_table import build_table, ranks
from leaderboards.layouts import layout_named
from leaderboards.table import Cell, cell
from tests.leaderboards.example_runs import add_eval, add_score, coin_flips, start_run


@pytest.fixture
def run(tmp_path):
    """base, sso 1-2 and pbaa 1 on GSM8K (sso 2 clearly better) and MT-Bench."""
    run = start_run(tmp_path)
    base = np.array(coin_flips(200, 0.4, 0))
    better = base.copy()
    better[np.flatnonzero(base == 0)[:50]] = 1  # 50 items gained, none lost: p = 2^-49
    slightly = base.copy()
    slightly[np.flatnonzero(base == 0)[0]] = 1
    add_eval(run, "gsm8k", base.tolist(), marks=("sample-data",))
    add_eval(run, "gsm8k", slightly.tolist(), arm="sso", iteration=1, marks=("sample-data",))
    add_eval(run, "gsm8k", better.tolist(), arm="sso", iteration=2, marks=("sample-data",))
    add_eval(
        run,
        "gsm8k",
        base.tolist(),
        arm="pbaa",
        iteration=1,
        protocol="gsm8k@2",
        marks=("sample-data",),
    )
    for arm, iteration, value in (("base", 0, 5.0), ("sso", 1, 6.0), ("pbaa", 1, 5.5)):
        add_eval(
            run,
            "mt_bench",
            [value, value + 0.2],
            metric="average",
            unit="points",
            arm=arm,
            iteration=iteration,
        )
    return run


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


def test_a_figure_of_another_protocol_is_never_the_best(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0, 0, 0])
    add_eval(run, "gsm8k", [1, 1, 0, 0], arm="sso", iteration=1)
    add_eval(run, "gsm8k", [1, 1, 1, 1], arm="pbaa", iteration=1, protocol="gsm8k@2")
    rows = iteration_table(load_runs([run])).groups[0].rows
    assert [(row.labels[0], row.cells[0].rank) for row in rows] == [
        ("base", 2),
        ("PBAA", 0),
        ("SSO", 1),
    ]


def test_counts_and_unfinished_stages_are_told(run):
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
