"""What a run tells: the forecast of its end, what stages found, one pair in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.news import Forecast, closing, duration, found, outline
from harness.run_folder import StageRecord
from harness.stage import Stage, StageContext, StageKind, StageResult
from tests.leaderboards.example_runs import demo_run


def nothing(context: StageContext) -> StageResult:
    return StageResult()


def stage(name: str, kind: StageKind = "train") -> Stage:
    return Stage(name, kind, {}, {}, nothing)


def record(**more: Any) -> StageRecord:
    return StageRecord("s", "train", "", {}, {}, **more)


def test_the_pace_of_a_step_carries_over_to_its_other_iterations() -> None:
    first, second = stage("sso/iter-1/policy"), stage("sso/iter-2/policy")
    other = stage("sso/iter-1/eval/gsm8k", "eval")
    forecast = Forecast({first.id: 10, second.id: 10, other.id: 5})
    assert forecast.left([first, second, other]) == 25
    forecast.finished(first, 30)
    assert forecast.left([second]) == 30
    assert forecast.left([other]) == 15  # nothing of its step is known: three times the guess
    forecast.finished(other, 5)
    assert forecast.left([stage("sso/iter-2/eval/gsm8k", "eval")]) == 0  # no guess, no figure
    assert forecast.left([second]) == 30


def test_a_step_without_a_guess_takes_as_long_as_before() -> None:
    forecast = Forecast({})
    forecast.finished(stage("sso/iter-1/pair_accuracy", "judge"), 8)
    assert forecast.left([stage("sso/iter-2/pair_accuracy", "judge")]) == 8


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(40.2, "about 40 s"), (600, "about 10 min"), (12_000, "about 3.3 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_outline_counts_stages_by_kind() -> None:
    plan = [stage("a"), stage("b"), stage("c", "eval")]
    assert outline(plan).startswith("3 stages: 2 of training, 1 of evaluation; ")


def test_what_stages_found(tmp_path: Path) -> None:
    measures = {"loss": 0.69314, "kl_to_ref": 0.01234, "accuracy/policy": 0.75, "final_loss": 1.0}
    told = found(stage("policy"), tmp_path, record(measures=measures, counts={"steps": 6}))
    assert told == "6 steps, loss 0.693, kl to ref 0.0123, accuracy/policy 0.75"
    counts = {"pairs": 11, "queries": 12}
    told = found(stage("sample", "sample"), tmp_path, record(counts=counts))
    assert told == "11 pairs kept of 12 queries"
    score = {"benchmark": "gsm8k", "metric": "numeric", "protocol": "p", "n": 4, "n_expected": 4}
    rows = [
        {**score, "value": 25.0, "stderr": 12.5, "headline": True},
        {**score, "value": 50.0, "metric": "strict_match"},
    ]
    (tmp_path / "scores.json").write_text(json.dumps(rows))
    assert found(stage("eval/gsm8k", "eval"), tmp_path, record()) == "gsm8k 25.0 ±12.5"


def test_the_last_lines_name_report_and_next_commands(tmp_path: Path) -> None:
    folder = demo_run(tmp_path)
    lines = closing(folder, folder / "report.html")
    assert f"Report: {folder / 'report.html'}" in lines
    assert lines[-1].startswith("Next: ")
    assert str(folder) in lines[-1]
