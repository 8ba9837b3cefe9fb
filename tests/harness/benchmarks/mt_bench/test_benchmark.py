"""MT-Bench end to end with an engine and a judge that answer by rule."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.benchmarks.base import EvalRequest, Outcome, ProtocolSpec
from harness.benchmarks.mt_bench import BENCHMARK, rescore_judgments
from harness.benchmarks.mt_bench.fastchat_package import fastchat_constants
from harness.benchmarks.mt_bench.files import Judgment
from harness.benchmarks.mt_bench.rescore import read_score
from harness.data.sources import DataSource
from harness.errors import DataError
from leaderboards.records import Score
from tests.harness.benchmarks.judged_fakes import RuleEngine, RuleJudge

CATEGORIES = {"81": "writing", "82": "writing", "101": "math", "111": "stem"}
SETTINGS = {
    "max_new_tokens": 32,
    "top_p": 1.0,
    "temperatures": {"writing": 0.7, "math": 0.0, "stem": 0.1},
    "other_temperature": 0.7,
    "references": "gpt-4",
    "reference_categories": ["math", "reasoning", "coding"],
}
RATINGS = {
    ("81", 1): 8.0,
    ("81", 2): 6.0,
    ("82", 1): 4.0,
    ("82", 2): None,
    ("101", 1): 9.0,
    ("101", 2): 9.0,
    ("111", 1): 2.5,
    ("111", 2): 1.0,
}


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def data(tmp_path: Path) -> DataSource:
    """Four questions of three categories; the mathematical one has reference answers."""
    folder = tmp_path / "data" / "mt_bench"
    questions = [
        {"question_id": int(q), "category": c, "turns": [f"first of {q}", f"second of {q}"]}
        for q, c in CATEGORIES.items()
    ]
    write_lines(folder / "question.jsonl", questions)
    reference = {"question_id": 101, "choices": [{"index": 0, "turns": ["ref one", "ref two"]}]}
    write_lines(folder / "reference_answer" / "gpt-4.jsonl", [reference])
    return DataSource("dir", tmp_path / "data")


def request_for(data: DataSource, **changes: Any) -> EvalRequest:
    spec = ProtocolSpec("mt_bench/community", "mt_bench", 1, "", SETTINGS)
    return EvalRequest(data=data, protocol=spec, **changes)


def answer(chat: list[dict[str, str]]) -> str:
    return f"  answer to {chat[-1]['content']} after {len(chat)} messages\n"


def rate(rating: Any) -> float | None:
    _, question, turn = rating.item_id.split("/")
    return RATINGS[question, int(turn[-1])]


def run(
    data: DataSource, folder: Path, judge: RuleJudge | None = None, **changes: Any
) -> tuple[Outcome, RuleEngine, RuleJudge]:
    engine, judge = RuleEngine(answer), judge or RuleJudge(rating=rate, name="gpt-4-0613")
    folder.mkdir(exist_ok=True)
    BENCHMARK.generate(request_for(data, **changes), engine, folder)
    return BENCHMARK.score(request_for(data, **changes), folder, judge), engine, judge


def score_of(outcome: Outcome, metric: str, category: str = "") -> Score:
    [found] = [s for s in outcome.scores if (s.metric, s.category) == (metric, category)]
    return found


def test_figures_by_hand(data: DataSource, tmp_path: Path) -> None:
    outcome, _, _ = run(data, tmp_path / "eval")
    average = score_of(outcome, "average")
    assert average.headline
    assert average.value == pytest.approx((8 + 6 + 4 + 9 + 9 + 2.5 + 1) / 7)
    assert (average.n, average.n_expected, average.n_unparsed, average.n_missing) == (7, 8, 1, 0)
    assert score_of(outcome, "turn_1").value == pytest.approx((8 + 4 + 9 + 2.5) / 4)
    second = score_of(outcome, "turn_2")
    assert second.value == pytest.approx((6 + 9 + 1) / 3)
    assert (second.n, second.n_expected, second.n_unparsed) == (3, 4, 1)
    assert score_of(outcome, "average", "writing").value == pytest.approx(6)
    assert score_of(outcome, "average", "math").value == 9
    assert [s.unit for s in outcome.scores] == ["points"] * len(outcome.scores)
    assert all(s.marks == () for s in outcome.scores)


def test_standard_error_is_clustered_by_question(data: DataSource, tmp_path: Path) -> None:
    """Sums of deviations from 39.5 / 7 within the four questions, G / (G - 1) = 4 / 3."""
    outcome, _, _ = run(data, tmp_path / "eval")
    mean = 39.5 / 7
    sums = [8 + 6 - 2 * mean, 4 - mean, 18 - 2 * mean, 3.5 - 2 * mean]
    by_hand = (4 / 3 * sum(s**2 for s in sums)) ** 0.5 / 7
    assert score_of(outcome, "average").stderr == pytest.approx(by_hand)
    assert score_of(outcome, "average", "math").stderr is None  # one question


def test_second_turn_sees_the_first_answer(data: DataSource, tmp_path: Path) -> None:
    _, engine, judge = run(data, tmp_path / "eval")
    second = [c for c in engine.calls if len(c["prompts"][0]) == 3]
    chats = {chat[0]["content"]: chat for call in second for chat in call["prompts"]}
    assert chats["first of 101"] == [
        {"role": "user", "content": "first of 101"},
        {"role": "assistant", "content": "answer to first of 101 after 1 messages"},
        {"role": "user", "content": "second of 101"},
    ]
    rated = {r.item_id: r for r in judge.seen}
    assert rated["mt_bench/101/turn-2"].turns == (
        "first of 101",
        "answer to first of 101 after 1 messages",
        "second of 101",
        "answer to second of 101 after 3 messages",
    )
    assert rated["mt_bench/101/turn-1"].references == ("ref one",)
    assert rated["mt_bench/101/turn-2"].references == ("ref one", "ref two")
    assert rated["mt_bench/81/turn-2"].references == ()


def test_temperature_follows_the_category(data: DataSource, tmp_path: Path) -> None:
    _, engine, _ = run(data, tmp_path / "eval")
    seen = {
        (chat[0]["content"], len(chat)): call["temperature"]
        for call in engine.calls
        for chat in call["prompts"]
    }
    assert {t for (text, _), t in seen.items() if text in ("first of 81", "first of 82")} == {0.7}
    assert seen["first of 101", 1] == seen["first of 101", 3] == 0.0
    assert seen["first of 111", 3] == 0.1
    seeds = [seed for call in engine.calls for seed in call["seeds"]]
    assert len(set(seeds)) == 8


def test_files_are_fastchat_s(data: DataSource, tmp_path: Path) -> None:
    run(data, tmp_path / "eval")
    answers = [
        json.loads(line)
        for line in (tmp_path / "eval/model_answer/rule-model-rule.jsonl").read_text().splitlines()
    ]
    assert list(answers[0]) == ["question_id", "answer_id", "model_id", "choices", "tstamp"]
    assert answers[0]["question_id"] == 81
    assert answers[0]["choices"][0]["turns"][0] == "answer to first of 81 after 1 messages"
    path = tmp_path / "eval/model_judgment/gpt-4-0613_single.jsonl"
    judged = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["score"] for row in judged] == [8.0, 6.0, 4.0, -1, 9.0, 9.0, 2.5, 1.0]
    assert judged[5]["judge"] == ["gpt-4-0613", "single-math-v1-multi-turn"]
    assert [row["turn"] for row in judged] == [1, 2] * 4


def test_fastchat_s_own_command_reads_the_judgments(data: DataSource, tmp_path: Path) -> None:
    import re
    import subprocess
    import sys

    outcome, _, _ = run(data, tmp_path / "eval")
    path = tmp_path / "eval/model_judgment/gpt-4-0613_single.jsonl"
    command = [sys.executable, "-m", "fastchat.llm_judge.show_result", "--input-file", str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, second, average = (
        float(v) for v in re.findall(r"rule-model-rule(?:\s+\d)?\s+(\d+\.\d+)", shown)
    )
    assert first == pytest.approx(score_of(outcome, "turn_1").value, abs=1e-5)
    assert second == pytest.approx(score_of(outcome, "turn_2").value, abs=1e-5)
    assert average == pytest.approx(score_of(outcome, "average").value, abs=1e-5)


def test_saved_judgments_give_the_same_figures(data: DataSource, tmp_path: Path) -> None:
    outcome, _, _ = run(data, tmp_path / "eval")
    path = tmp_path / "eval/model_judgment/gpt-4-0613_single.jsonl"
    again = rescore_judgments(path, request_for(data))
    for first, second in zip(outcome.scores, again.scores, strict=True):
        for field in ("metric", "category", "value", "stderr", "n", "n_expected", "n_unparsed"):
            assert getattr(first, field) == getattr(second, field)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    short = score_of(rescore_judgments(path, request_for(data)), "average")
    assert (short.n, short.n_missing, short.n_unparsed) == (6, 1, 1)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Rating: [[7]]", 7.0),
        ("Rating: [[7.5]] of 10", 7.5),
        ("[3] is my grade", 3.0),
        ("see [2], so [[9]]", 9.0),
        ("no grade", None),
        ("[[seven]]", None),
    ],
)
def test_score_patterns(text: str, score: float | None) -> None:
    assert read_score(Judgment("1", 1, "gpt-4", "single-v1", text, 4.0)) == score


def test_a_local_judge_keeps_its_saved_score() -> None:
    assert read_score(Judgment("1", 1, "local", "contrast", "0.73", 6.5)) == 6.5


def test_shipped_protocols_have_fastchat_s_constants() -> None:
    import yaml

    constants = fastchat_constants()
    folder = Path(__file__).resolve().parents[4] / "harness/benchmarks/mt_bench/protocols"
    for name in ("community", "paper"):
        settings = yaml.safe_load((folder / f"{name}.yaml").read_text())["settings"]
        theirs = {k: v for k, v in constants.temperatures.items() if k in settings["temperatures"]}
        assert settings["temperatures"] == theirs
        assert len(theirs) == 8
        assert set(settings["reference_categories"]) <= set(constants.reference_categories)
    from judges.protocols.rating import SCORE, SCORE_BACKUP

    for ours, theirs in (
        (SCORE, constants.score_pattern),
        (SCORE_BACKUP, constants.score_pattern_backup),
    ):
        for text in (
            "[[7]]",
            "[[7.5]]",
            "[[7.]]",
            "[[.5]]",
            "[[77]]",
            "[[]]",
            "[7]",
            "[7.25] [[x]]",
        ):
            assert ours.findall(text) == re.findall(theirs, text), text


def test_limit_counts_questions(data: DataSource, tmp_path: Path) -> None:
    outcome, _, _ = run(data, tmp_path / "eval", limit=2)
    assert len(outcome.items) == 4
    assert score_of(outcome, "average").n_expected == 4
    assert score_of(outcome, "average").marks == ("item-limit",)
    load = BENCHMARK.workload(request_for(data, limit=2))
    assert (load.items, load.judge_calls, load.new_tokens) == (4, 4, 128)


@pytest.mark.parametrize(
    ("judge", "marks"),
    [
        (RuleJudge(rating=rate, name="gpt-4"), ()),
        (RuleJudge(rating=rate, name="gpt-4-1106-preview"), ("other-judge",)),
        (RuleJudge(rating=rate, name="local", comparable=False), ("local-judge",)),
    ],
)
def test_marks_of_the_judge(
    data: DataSource, tmp_path: Path, judge: RuleJudge, marks: tuple[str, ...]
) -> None:
    outcome, _, _ = run(data, tmp_path / "eval", judge)
    assert score_of(outcome, "average").marks == marks


def test_faulty_questions_are_named(data: DataSource) -> None:
    path = data.root / "mt_bench" / "question.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for change, message in (
        ({"turns": ["only one"]}, "question 82 needs two turns"),
        ({"question_id": 81}, "question 81 comes twice"),
        ({"category": "coding"}, r"question 82 \(coding\) is judged with a reference"),
        ({"category": None}, r"question\.jsonl:2: the row has no field 'category'"),
    ):
        write_lines(path, [{**row, **change} if k == 1 else row for k, row in enumerate(rows)])
        with pytest.raises(DataError, match=message):
            BENCHMARK.workload(request_for(data))


def test_faulty_judgments_are_named(data: DataSource, tmp_path: Path) -> None:
    run(data, tmp_path / "eval")
    path = tmp_path / "eval/model_judgment/gpt-4-0613_single.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for change, message in (
        ({"turn": 1}, "question 81 turn 1 is judged twice"),
        ({"turn": 3}, "not a judgment of turn 1 or 2"),
        ({"question_id": 999}, "question 999 is not in the request"),
        ({"model": "other"}, "several models, name one"),
        ({"judge": ["claude", "single-v1"]}, "several judges"),
    ):
        write_lines(path, [{**row, **change} if k == 1 else row for k, row in enumerate(rows)])
        with pytest.raises(DataError, match=message):
            rescore_judgments(path, request_for(data))


def test_scoring_before_generating_is_an_error(data: DataSource, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"outputs\.jsonl"):
        BENCHMARK.score(request_for(data), tmp_path, RuleJudge(rating=rate))


def test_a_turn_that_does_not_fit_the_context_is_an_error_of_its_own(
    data: DataSource, tmp_path: Path
) -> None:
    """The chat of a second turn holds about twenty words here; nothing else is lost."""
    engine, judge = RuleEngine(answer), RuleJudge(rating=lambda r: 7.0)
    engine.max_length = 12
    BENCHMARK.generate(request_for(data), engine, tmp_path)
    outcome = BENCHMARK.score(request_for(data), tmp_path, judge)
    average = score_of(outcome, "average")
    assert (average.value, average.n, average.n_expected, average.n_error) == (7.0, 4, 8, 4)
    assert outcome.items[1].error == "the prompt is longer than the model's context"
    assert len(judge.seen) == 4


def test_shipped_sample_runs_under_every_shipped_protocol(tmp_path: Path) -> None:
    from harness.benchmarks import get_benchmark, load_protocols
    from harness.data import open_source

    for spec in load_protocols("mt_bench"):
        request = EvalRequest(data=open_source("sample"), protocol=spec)
        engine, judge = RuleEngine(answer), RuleJudge(rating=lambda r: float(len(r.turns)))
        get_benchmark("mt_bench").generate(request, engine, tmp_path)
        outcome = get_benchmark("mt_bench").score(request, tmp_path, judge)
        average = score_of(outcome, "average")
        assert (average.value, average.n, average.n_expected) == (3.0, 32, 32)
        assert len({i.category for i in outcome.items}) == 8
        with_references = {r.item_id for r in judge.seen if r.references}
        needing = {
            i.item_id for i in outcome.items if i.category in ("math", "reasoning", "coding")
        }
        assert with_references == needing
        assert {"sample-data", "other-judge", *spec.marks} == set(average.marks)
