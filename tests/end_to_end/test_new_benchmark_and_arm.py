"""A benchmark and an arm from outside are found everywhere by their registry line alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.benchmarks import BENCHMARKS
from harness.contamination import find_overlaps
from harness.data import open_source
from leaderboards import load_runs
from leaderboards.plots import iterations_figure, policyness_figure
from leaderboards.runs import read_runs
from sso.arms import ARMS
from tests.end_to_end.conftest import Call, small
from tests.end_to_end.parity_benchmark import QUESTIONS


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two registry lines: of the benchmark ``parity`` and of the arm ``mirror``."""
    monkeypatch.setitem(BENCHMARKS, "parity", "tests.end_to_end.parity_benchmark")
    arm = replace(ARMS["pbaa"], name="mirror", title="Mirror", order=15, ablation=True)
    monkeypatch.setitem(ARMS, "mirror", arm)


@pytest.fixture
def options(registered: None, tiny_model_dir: Path, tmp_path: Path) -> list[str]:
    chosen = ["--benchmarks", "gsm8k,parity", "--methods", "mirror", "--iters", "1"]
    return [*small(tiny_model_dir, tmp_path / "run"), *chosen]


def test_plan_lists_the_stages_and_what_they_can_show(call: Call, options: list[str]) -> None:
    done = call("plan", *options)
    assert done.code == 0, done.err
    assert "mirror/iter-1/eval/parity" in done.out
    # 30 points of spread on 6 items: 2.8016 * 30 / sqrt(6) = 34.3
    assert "parity 34.3 (6 items)" in done.out


def test_run_table_gate_plot_and_report_show_them(
    call: Call, options: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = call("run", "-q", *options)
    assert done.code == 0, done.err

    head, *rows = (run / "tables" / "iterations.md").read_text().splitlines()[2:]
    assert [cell.split()[0] for cell in head.split("|")[3:5]] == ["EVEN", "GSM8K"]
    assert any("| Mirror | Iter1 |" in row for row in rows)

    gate = call("check", run, "--baseline", run, "--benchmarks", "parity", "--json", run / "g.json")
    assert gate.code in (0, 3), gate.err
    assert json.loads((run / "g.json").read_text())["checks"][0]["minimum_effect"] == 7.5
    call("baseline", "save", run, "--out", run / "b.json")
    again = call(
        "check", run, "--baseline", run / "b.json", "-b", "parity", "--json", run / "h.json"
    )
    assert again.code == gate.code
    saved = json.loads((run / "h.json").read_text())["checks"][0]
    assert (saved["benchmark"], saved["minimum_effect"]) == ("parity", 7.5)

    frame, read = load_runs([run]), read_runs([run])
    panels = {axis.get_title(): axis for axis in iterations_figure(frame).axes}
    assert [line.get_label() for line in panels["EVEN"].get_lines()] == ["Mirror"]
    right = policyness_figure(frame, read).axes[1]
    assert "Mirror chosen" in [line.get_label() for line in right.get_lines()]

    page = call("report", run, "-o", tmp_path / "r.html")
    assert page.code == 0, page.err
    text = (tmp_path / "r.html").read_text()
    assert "Mirror" in text
    assert "EVEN" in text
    assert "parity: texts are withheld (gated)." in text
    assert "Quokka" not in text


def test_the_contamination_check_reads_its_questions_and_writes_none(
    registered: None, tmp_path: Path
) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test.jsonl").write_text('{"question": "x", "answer": "#### 1"}\n')
    found = find_overlaps({"a": QUESTIONS[3].upper()}, open_source(tmp_path), ["parity"])
    assert [(o.item_id, o.kind) for o in found] == [("parity/3", "exact")]
    longer = f"so tell me {QUESTIONS[4]} please"
    (near,) = find_overlaps({"b": longer}, open_source(tmp_path), ["parity"], n=5)
    assert near.kind == "ngram"
    assert "quokka" not in near.detail.lower()
