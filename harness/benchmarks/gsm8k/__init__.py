"""GSM8K: grade-school word problems with one number as the answer.

In: ``gsm8k/test.jsonl`` and, for the examples, ``gsm8k/train.jsonl`` (question, answer). Out:
outputs, item scores, scores ``flexible_extract``, ``strict_match`` (lm-eval's two) and ``numeric``
(ours: any mark of an answer, numbers compared as numbers). README.md has the protocols, reference
points and the changelog.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.benchmarks.aggregate import Answer, Grade
from harness.benchmarks.answer_key import Item, ObjectiveBenchmark, Settings
from harness.benchmarks.base import questions_in
from harness.benchmarks.gsm8k.extraction import (
    NUMBER,
    after_answer_colon,
    final_number,
    key_of,
    normalised,
    same_number,
)
from harness.data.sources import DataSource
from harness.errors import DataError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

if TYPE_CHECKING:
    from harness.benchmarks.task_scorer import TaskScorer

TEST = "gsm8k/test.jsonl"
TRAIN = ("gsm8k/train.jsonl", "gsm8k/train_first300.jsonl")
FIELDS = ("question", "answer")


def read(data: DataSource, settings: Settings) -> list[Item]:
    """The test items in file order.

    Raises:
        DataError: a missing field, or an answer without its ``####`` (file and line).
    """
    items = []
    for number, (line, row) in enumerate(data.numbered_rows(TEST, required=FIELDS)):
        where = f"{data.path(TEST)}:{line}"
        if isinstance(row["answer"], str) and "####" not in row["answer"]:
            raise DataError(f"{where}: the answer has no '####'")
        kept = {"question": row["question"], "answer": marked(row["answer"], where)}
        target = {"question": "", "answer": kept["answer"]}
        items.append(Item(f"gsm8k/{number}", kept, target, task=settings["task"]))
    return items


def examples(data: DataSource, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The training rows, where the protocol draws its examples from them."""
    if not settings.get("shots") or settings.get("own_examples"):
        return {}
    return {"": [{k: r[k] for k in FIELDS} for r in data.rows(*TRAIN, required=FIELDS)]}


def files(data: DataSource, settings: Settings) -> list[str]:
    """What the items and their examples come from."""
    drawn = settings.get("shots") and not settings.get("own_examples")
    train = [next(name for name in TRAIN if data.find(name))] if drawn and data.find(*TRAIN) else []
    return [TEST, *train]


@lru_cache(maxsize=8)
def _scorer(task: str) -> TaskScorer:
    from harness.benchmarks.lm_eval_bridge import TaskSpec
    from harness.benchmarks.task_scorer import TaskScorer

    return TaskScorer(TaskSpec("gsm8k", task), {"question": "1", "answer": "#### 1"})


def grade(answers: Sequence[Answer], settings: Settings) -> list[Grade]:
    """lm-eval's two extractions and ours; or the one of OpenAI's solutions (``answer_colon``)."""
    if settings["extraction"] == "answer_colon":
        return [_answer_colon(answer) for answer in answers]
    from harness.benchmarks.lm_eval_bridge import INVALID

    task = str(settings["task"])
    judged = _scorer(task)([a.target for a in answers], [a.text for a in answers])
    grades = []
    for answer, by_filter in zip(answers, judged, strict=True):
        values = {
            name.replace("-", "_"): float(result.metrics["exact_match"])
            for name, result in by_filter.items()
        }
        found = final_number(answer.text)
        key = key_of(str(answer.target["answer"])) or ""
        values["numeric"] = float(found is not None and same_number(found, key))
        headline = (
            by_filter[str(settings["metric"]).replace("_", "-")].extracted
            if settings["metric"] != "numeric"
            else found
        )
        unparsed = headline in (None, INVALID)
        grades.append(Grade(values, None if unparsed else str(headline), unparsed))
    return grades


def _answer_colon(answer: Answer) -> Grade:
    found = after_answer_colon(answer.text)
    key = after_answer_colon("A: " + (key_of(str(answer.target["answer"])) or ""))
    return Grade({"answer_colon": float(found is not None and found == key)}, found, found is None)


def target_of(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """The key of a row: ``ground_truth`` or ``answer``, a number or a solution that ends in one.

    Raises:
        DataError: no key, or one that is neither a number nor a solution with a mark.
    """
    return {"question": "", "answer": marked(row.get("ground_truth", row.get("answer")), where)}


def marked(key: Any, where: str) -> str:
    """A key as a solution with ``####`` before its number; a bare number gets the mark.

    Raises:
        DataError: neither a number nor such a solution (file and line).
    """
    if isinstance(key, (int, float)) and not isinstance(key, bool) and math.isfinite(key):
        return f"#### {normalised(repr(key))}"
    if isinstance(key, str) and key_of(key) is not None:
        return key.replace("\nA:", "\n####")
    if isinstance(key, str) and re.fullmatch(NUMBER, key.strip()):
        return f"#### {key.strip()}"
    raise DataError(
        f"{where}: the row has no answer key ('ground_truth' or 'answer'): {key!r}"[:300]
    )


BENCHMARK = ObjectiveBenchmark(
    name="gsm8k",
    info=BenchmarkInfo(
        "GSM8K",
        (InfoColumn("gsm8k", "GSM8K", 70),),
        minimum_effect=4.0,
        spread=39.0,
    ),
    folder="gsm8k",
    read=read,
    examples=examples,
    grade=grade,
    files=files,
    questions=questions_in(TEST, text="question"),
    target_of=target_of,
    own_fields=(*FIELDS, "ground_truth"),
)
