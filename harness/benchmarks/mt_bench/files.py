"""MT-Bench's files, in FastChat's own formats.

Read from the data source: ``question.jsonl`` and ``reference_answer/NAME.jsonl``. Written into the
evaluation's folder: ``model_answer/MODEL.jsonl`` (question_id, answer_id, model_id, choices, tstamp)
and ``model_judgment/JUDGE_single.jsonl`` (question_id, model, judge, user_prompt, judgment, score,
turn, tstamp; score -1 where there is none), which ``fastchat.llm_judge`` reads as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.benchmarks.judged_twice import Duplicates, settle
from harness.data.sources import read_rows
from harness.errors import DataError

TURNS = 2


@dataclass(frozen=True)
class Question:
    """One two-turn question; ``references`` has one answer a turn where it is judged with them."""

    question_id: str
    category: str
    turns: tuple[str, str]
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgment:
    """One judged turn as saved: the judge's raw text and what was made of it."""

    question_id: str
    turn: int
    judge: str
    template: str
    text: str
    score: float | None


def read_questions(
    path: Path, reference_file: Path | None, reference_categories: Sequence[str]
) -> list[Question]:
    """The questions in file order, with reference answers for the categories that need them.

    Raises:
        DataError: a missing field, other than two turns, a question that comes twice, or one
            that is judged with a reference and has none.
    """
    references = _references(reference_file) if reference_file else {}
    found: dict[str, Question] = {}
    for row in read_rows(path, required=("question_id", "category", "turns")):
        turns, key, category = row["turns"], str(row["question_id"]), str(row["category"])
        where = f"{path}: question {key}"
        if not _texts(turns) or len(turns) != TURNS:
            raise DataError(f"{where} needs two turns of text")
        if key in found:
            raise DataError(f"{where} comes twice")
        given = references.get(key, ()) if category in reference_categories else ()
        if category in reference_categories and not given:
            raise DataError(
                f"{where} ({category}) is judged with a reference answer and "
                f"{reference_file or 'the data source'} has none for it"
            )
        found[key] = Question(key, category, (turns[0], turns[1]), given)
    if not found:
        raise DataError(f"{path}: holds no question")
    return list(found.values())


def _references(path: Path) -> dict[str, tuple[str, ...]]:
    found = {}
    for row in read_rows(path, required=("question_id", "choices")):
        turns = _turns(row)
        if turns is None:
            raise DataError(f"{path}: question {row['question_id']}: no answer in both turns")
        found[str(row["question_id"])] = turns
    return found


def _turns(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The turns of an answer in FastChat's format, ``None`` where there are not two of text."""
    try:
        turns = row["choices"][0]["turns"]
    except (KeyError, IndexError, TypeError):
        return None
    return tuple(turns) if _texts(turns) and len(turns) == TURNS else None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and v.strip() for v in value)


def answer_row(
    question_id: str, turns: Sequence[str], model: str, timestamp: float
) -> dict[str, Any]:
    """One line of ``model_answer``; the answer id is a hash of the answer."""
    text = json.dumps([model, question_id, list(turns)])
    return {
        "question_id": _number(question_id),
        "answer_id": hashlib.sha256(text.encode()).hexdigest()[:22],
        "model_id": model,
        "choices": [{"index": 0, "turns": list(turns)}],
        "tstamp": timestamp,
    }


def judgment_row(judgment: Judgment, model: str, timestamp: float) -> dict[str, Any]:
    """One line of ``model_judgment``. ``user_prompt`` is left empty: it is the template filled with
    question and answers, which stand in the other files."""
    return {
        "question_id": _number(judgment.question_id),
        "model": model,
        "judge": [judgment.judge, judgment.template],
        "user_prompt": "",
        "judgment": judgment.text,
        "score": -1 if judgment.score is None else judgment.score,
        "turn": judgment.turn,
        "tstamp": timestamp,
    }


def read_judgments(
    path: Path, model: str | None = None, duplicates: Duplicates = "refuse"
) -> tuple[str, list[Judgment]]:
    """The model and its judgments in file order; ``model`` may be omitted where there is only one.

    Raises:
        DataError: a missing field, a turn judged twice, several models and none named, or none
            of that name.
    """
    rows = read_rows(path, required=("question_id", "model", "judge", "judgment", "turn"))
    for row in rows:
        if row["turn"] not in (1, 2) or not isinstance(row["judgment"], str):
            raise DataError(f"{path}: question {row['question_id']}: not a judgment of turn 1 or 2")
    models = sorted({str(row["model"]) for row in rows})
    if model is None and len(models) == 1:
        model = models[0]
    if model not in models:
        asked = f"no judgment of {model}" if model else "several models, name one"
        raise DataError(f"{path}: {asked} (there are: {', '.join(models) or 'none'})")
    found: list[Judgment] = []
    for row in rows:
        if str(row["model"]) != model:
            continue
        key = (str(row["question_id"]), int(row["turn"]))
        names = row["judge"] if isinstance(row["judge"], list) else [row["judge"], ""]
        score = row.get("score")
        given = float(score) if isinstance(score, int | float) and score != -1 else None
        found.append(Judgment(*key, str(names[0]), str(names[-1]), row["judgment"], given))
    settled = settle(
        found,
        lambda j: (j.question_id, j.turn),
        lambda j: j.score is not None,
        duplicates,
        lambda j: f"{path}: question {j.question_id} turn {j.turn}",
    )
    return str(model), settled


def file_stem(name: str) -> str:
    """A model's or judge's name as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One object per line, put in place atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _number(question_id: str) -> int | str:
    """FastChat's question ids are integers; anything else stays text."""
    return int(question_id) if question_id.isdigit() else question_id
