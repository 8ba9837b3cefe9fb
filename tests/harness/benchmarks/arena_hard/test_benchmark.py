"""Arena-Hard end to end by rule: both orders, counts, marks, both versions' files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import load_protocol
from harness.benchmarks.arena_hard import BENCHMARK
from harness.benchmarks.base import EvalRequest
from harness.data import open_source
from harness.errors import DataError
from judges import Comparison, Verdict
from tests.harness.benchmarks.judged_fakes import RuleEngine


class FiveSteps:
    """Gives the verdicts of a table by question number; None is an unusable reply."""

    name = snapshot = "gpt-4-1106-preview"
    comparable = True

    def __init__(self, *values: tuple[float | None, float | None]) -> None:
        self.values, self.asked = list(values), list[Comparison]()

    def graded(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        self.asked = list(comparisons)
        return [
            tuple(
                Verdict(
                    item_id=c.item_id,
                    kind="pairwise",
                    judge=self.name,
                    protocol="five-way/x",
                    value=v,
                    state="unparsed" if v is None else "ok",
                    swapped=k == 1,
                )
                for k, v in enumerate(both)
            )
            for c, both in zip(comparisons, self.values, strict=False)
        ]  # type: ignore[misc]


def folder(
    root: Path, questions: list[dict[str, Any]], answers: list[dict[str, Any]], name: str, base: str
) -> Path:
    place = root / name / "model_answer"
    place.mkdir(parents=True)
    (root / name / "question.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    (place / f"{base}.jsonl").write_text("".join(json.dumps(a) + "\n" for a in answers))
    return root


def v01(root: Path, n: int = 3) -> Path:
    questions = [
        {"question_id": f"q{i}", "category": "c", "turns": [{"content": f"ask {i}"}]}
        for i in range(n)
    ]
    answers = [
        {"question_id": f"q{i}", "choices": [{"turns": [{"content": f"base {i}", "token_len": 2}]}]}
        for i in range(n)
    ]
    return folder(root, questions, answers, "arena_hard", "gpt-4-0314")


def test_rate_counts_and_battles(tmp_path: Path) -> None:
    request = EvalRequest(open_source(v01(tmp_path)), load_protocol("arena_hard"))
    BENCHMARK.generate(request, RuleEngine(lambda chat: "mine " + chat[-1]["content"]), tmp_path)
    judge = FiveSteps((2.0, 1.75), (1.5, 1.0), (None, 2.0))
    outcome = BENCHMARK.score(request, tmp_path, judge)  # type: ignore[arg-type]
    assert [(c.output_1, c.output_2) for c in judge.asked][1] == ("base 1", "mine ask 1")
    (score,) = outcome.scores
    assert score.value == pytest.approx(100 * 4.5 / 8)
    assert (score.n, score.n_expected, score.n_unparsed) == (2, 3, 1)
    assert score.ci_low is not None
    assert score.marks == ()
    assert [item.values.get("preference") for item in outcome.items] == [0.875, 0.25, None]
    lines = [json.loads(line) for line in (tmp_path / "battles.jsonl").read_text().splitlines()]
    assert lines[0]["values"] == [2.0, 1.75]
    assert lines[0]["baseline"] == "gpt-4-0314"
    controlled = EvalRequest(request.data, load_protocol("arena_hard", "style-control"))
    other = BENCHMARK.score(controlled, tmp_path, FiveSteps((2.0, 1.75), (1.5, 1.0), (None, 2.0)))  # type: ignore[arg-type]
    assert other.scores[0].protocol != score.protocol


def test_the_second_edition_has_a_baseline_per_category(tmp_path: Path) -> None:
    questions = [{"uid": "a", "category": "hard_prompt", "prompt": "hard"}]
    answers = [
        {
            "uid": "a",
            "messages": [
                {"role": "user", "content": "hard"},
                {"role": "assistant", "content": {"answer": "base"}},
            ],
        }
    ]
    root = folder(tmp_path, questions, answers, "arena_hard_v2", "o3-mini-2025-01-31")
    (root / "arena_hard_v2/model_answer/gemini-2.0-flash-001.jsonl").write_text("")
    request = EvalRequest(open_source(root), load_protocol("arena_hard", "v2"))
    assert BENCHMARK.workload(request).judge_calls == 2
    assert list(BENCHMARK.questions(open_source(root))) == [("a", "hard")]


def test_questions_without_a_baselines_answer_are_named(tmp_path: Path) -> None:
    root = v01(tmp_path)
    (root / "arena_hard/model_answer/gpt-4-0314.jsonl").write_text(
        json.dumps({"question_id": "q0", "choices": [{"turns": [{"content": "x"}]}]}) + "\n"
    )
    request = EvalRequest(open_source(root), load_protocol("arena_hard"))
    with pytest.raises(
        DataError, match=r"question.jsonl:2: gpt-4-0314 has no answer to question q1"
    ):
        BENCHMARK.workload(request)


def test_the_sample_data_are_a_small_arena(tmp_path: Path) -> None:
    request = EvalRequest(open_source("sample"), load_protocol("arena_hard", "quick"))
    assert BENCHMARK.workload(request).items == 8
    BENCHMARK.generate(request, RuleEngine(lambda chat: "x"), tmp_path)
    outcome = BENCHMARK.score(request, tmp_path, FiveSteps(*[(1.0, 1.0)] * 8))  # type: ignore[arg-type]
    assert outcome.scores[0].value == 0
    assert {"sample-data", "reduced-protocol"} <= set(outcome.scores[0].marks)
