"""What the report shows besides scores."""

import pytest

from leaderboards import load_runs
from leaderboards.report import facts
from leaderboards.runs import read_run
from tests.leaderboards.example_runs import add_eval, demo_run, start_run, write_stage


def test_runs_are_listed_with_what_they_are_shown_as(tmp_path):
    runs = [read_run(demo_run(tmp_path, name, arms=("sso",), iterations=1)) for name in ("a", "b")]
    table = facts.runs_table(runs)
    rows = [dict(zip(table.heads, row, strict=True)) for row in table.rows]
    assert [row["Shown as"] for row in rows] == ["tiny · a", "tiny · b"]
    assert (rows[0]["Arms"], rows[0]["Commit"]) == ("SSO", "0123456789ab")


def test_each_note_stands_once_with_its_stages(tmp_path):
    run = start_run(tmp_path)
    for step in range(1, 6):
        folder = run / "sso" / f"iter-{step}" / "policy"
        folder.mkdir(parents=True)
        started = f"2026-01-0{step}T00:00:00"
        write_stage(run, folder, kind="train", notes=["plain batches"], started=started)
    assert facts.notes([read_run(run)]) == [
        "plain batches (sso/iter-1/policy, sso/iter-2/policy, sso/iter-3/policy and 2 more)"
    ]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"accuracy": 0.44, "pairs": 50, "interval": [0.31, 0.58]}, "can't be told from a coin"),
        ({"accuracy": 0.71, "n": 200, "interval": [0.64, 0.77]}, "better than a coin"),
        ({"accuracy": 0.30, "n": 200, "interval": [0.24, 0.37]}, "worse than a coin"),
    ],
)
def test_what_a_judge_is_worth(part, words):
    (line,) = facts.judge_sentences({"agreement": {"llmbar": part}})
    assert line.startswith(f"On llmbar it agrees with people on {100 * part['accuracy']:.0f} % of")
    assert words in line


def test_a_judge_without_a_measured_agreement():
    lines = facts.judge_sentences({"judge": "x", "comparable": False})
    assert lines == ["Its figures can't be compared with those of the published judge."]
    assert "no measured agreement" in facts.judge_sentences({"judge": "x"})[0]


def test_comparability_by_benchmark(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0, 1], marks=("sample-data",), n_truncated=2)
    add_eval(run, "math", [1, 0], judge="j")
    table = facts.comparability(load_runs([run]))
    assert [row[:3] for row in table.rows] == [["gsm8k", 3, 2], ["math", 2, 0]]
    assert "written for this project" in table.rows[0][6]
    assert table.rows[1][6] == "nothing stands against it"


def test_costs_by_kind_by_hand(tmp_path):
    run = read_run(demo_run(tmp_path, arms=("sso",), iterations=2))
    rows = {row[0]: row[1:] for row in facts.costs([run])["by_kind"].rows}
    # two iterations: 40 s of sampling and 60 s of training each, 0.02 dollars a stage
    assert rows["sample"] == [2, 80 / 60, 100_000, pytest.approx(0.04)]
    assert rows["train"][1] == 2.0
