"""Arena-Hard's files: the questions, and the baselines' answers, in the forms of both its versions.

v0.1: ``question_id``, ``turns`` [{content}], answers in ``choices`` [{turns: [{content}]}]. v2.0: ``uid``, ``prompt``,
answers in ``messages`` [{role, content: {answer}}].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.files import numbered_json_lines
from harness.data.sources import DataSource
from harness.errors import DataError

SAMPLE_BASELINE = "sample-baseline"
FOLDERS = ("arena_hard", "arena_hard_v2")


@dataclass(frozen=True)
class Question:
    """A question with the baseline's answer to it."""

    item_id: str
    category: str
    text: str
    baseline: str
    baseline_output: str


def question_file(settings: Mapping[str, Any]) -> str:
    """Where the questions of this protocol lie in the data."""
    return f"{settings['folder']}/question.jsonl"


def baselines(settings: Mapping[str, Any], data: DataSource) -> dict[str, str]:
    """Baseline by category; ``""`` is that of all others."""
    if data.kind == "sample":
        return {"": SAMPLE_BASELINE}
    return dict(settings["baselines"])


def answer_files(settings: Mapping[str, Any], data: DataSource) -> dict[str, str]:
    """Answer file by baseline."""
    names = baselines(settings, data).values()
    return {name: f"{settings['folder']}/model_answer/{name}.jsonl" for name in names}


def read_questions(settings: Mapping[str, Any], data: DataSource) -> list[Question]:
    """The questions in file order with the answers of their category's baseline.

    Raises:
        DataError: a missing field, an id that comes twice, a baseline without an answer (file and line).
    """
    by_category = baselines(settings, data)
    answers = {
        name: read_answers(data.path(file)) for name, file in answer_files(settings, data).items()
    }
    found: list[Question] = []
    seen: set[str] = set()
    path = data.path(question_file(settings))
    for number, row in numbered_json_lines(path):
        where = f"{path}:{number}"
        name = str(row.get("question_id") or row.get("uid") or "")
        text = _question(row, where)
        if not name or name in seen:
            raise DataError(
                f"{where}: {'the id ' + name + ' comes twice' if name else 'no question_id'}"
            )
        seen.add(name)
        category = str(row.get("category") or "")
        baseline = by_category.get(category, by_category.get(""))
        if baseline is None:
            raise DataError(f"{where}: no baseline for the category {category!r}")
        output = answers[baseline].get(name)
        if output is None:
            raise DataError(f"{where}: {baseline} has no answer to question {name}")
        found.append(Question(f"arena_hard/{name}", category, text, baseline, output))
    if not found:
        raise DataError(f"{path}: no questions")
    return found


def _question(row: Mapping[str, Any], where: str) -> str:
    turns = row.get("turns")
    if isinstance(turns, list) and turns:
        first = turns[0]
        text = first.get("content") if isinstance(first, Mapping) else first
    else:
        text = row.get("prompt")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: the row has no question (turns, or prompt)")
    return text


def questions(data: DataSource) -> Iterator[tuple[str, str]]:
    """Ids and texts of the questions of both versions, for the contamination check."""
    for folder in FOLDERS:
        path = data.find(f"{folder}/question.jsonl")
        for number, row in numbered_json_lines(path) if path else ():
            name = str(row.get("question_id") or row.get("uid") or number)
            yield name, _question(row, f"{path}:{number}")


def read_answers(path: Path) -> dict[str, str]:
    """Answers by question id.

    Raises:
        DataError: a row without an id or an answer (file and line).
    """
    found: dict[str, str] = {}
    for number, row in numbered_json_lines(path):
        name = str(row.get("question_id") or row.get("uid") or "")
        text = _answer(row)
        if not name or text is None:
            raise DataError(
                f"{path}:{number}: no answer of a question (question_id and choices, or uid and messages)"
            )
        found[name] = text
    return found


def _answer(row: Mapping[str, Any]) -> str | None:
    try:
        if "choices" in row:
            content = row["choices"][0]["turns"][0]["content"]
        else:
            content = row["messages"][-1]["content"]
        text = content["answer"] if isinstance(content, Mapping) else content
    except (KeyError, IndexError, TypeError):
        return None
    return text if isinstance(text, str) else None
