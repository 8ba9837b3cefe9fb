"""Arena-Hard's files: rows of both editions that can and can't be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks.arena_hard.files import questions, read_answers, read_questions
from harness.data import open_source
from harness.errors import DataError

SETTINGS = {"folder": "arena_hard", "baselines": {"": "base"}}
ANSWER = {"question_id": "1", "choices": [{"turns": [{"content": "b"}]}]}


def written(root: Path, row: dict[str, Any], answer: dict[str, Any] = ANSWER) -> Path:
    place = root / "arena_hard" / "model_answer"
    place.mkdir(parents=True)
    (root / "arena_hard" / "question.jsonl").write_text(json.dumps(row) + "\n")
    (place / "base.jsonl").write_text(json.dumps(answer) + "\n")
    return root


@pytest.mark.parametrize(
    "row",
    [
        {"question_id": "1", "turns": [{"content": "ask"}]},
        {"question_id": "1", "turns": ["ask"]},
        {"uid": "1", "prompt": "ask"},
    ],
)
def test_questions_of_both_editions(row: dict[str, Any], tmp_path: Path) -> None:
    data = open_source(written(tmp_path, row))
    (found,) = read_questions(SETTINGS, data)
    assert (found.item_id, found.text, found.baseline_output) == ("arena_hard/1", "ask", "b")
    assert list(questions(data)) == [("1", "ask")]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question_id": "1", "turns": []}, "the row has no question"),
        ({"question_id": "1", "turns": [{"content": " "}]}, "the row has no question"),
        ({"turns": [{"content": "ask"}]}, "no question_id"),
        ({"question_id": "2", "turns": [{"content": "ask"}]}, "base has no answer to question 2"),
    ],
)
def test_questions_that_can_not_be_used(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"question.jsonl:1: {said}"):
        read_questions(SETTINGS, open_source(written(tmp_path, row)))


@pytest.mark.parametrize(
    "row", [{"question_id": "1"}, {"choices": []}, {"uid": "1", "messages": [{"content": 3}]}]
)
def test_answers_that_can_not_be_used(row: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"a.jsonl:1: no answer of a question"):
        read_answers(file)
