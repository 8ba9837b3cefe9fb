"""MMLU: four-option questions over 57 subjects, by the likeliest letter.

In: ``mmlu/test.jsonl`` and, for the examples, ``mmlu/dev.jsonl`` (question, choices, answer 0 to 3,
subject). Out: outputs with the log-probabilities of the four letters, item scores, the score ``acc``
over all items and by subject. README.md has the protocols and the changelog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.benchmarks.aggregate import Answer, Grade
from harness.benchmarks.answer_key import Item, ObjectiveBenchmark, Settings
from harness.benchmarks.base import questions_in
from harness.benchmarks.choice_key import choice_index
from harness.benchmarks.letter_answer import answer_letter
from harness.data.sources import DataSource
from harness.errors import DataError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

if TYPE_CHECKING:
    from harness.benchmarks.task_scorer import TaskScorer

TEST, DEV = "mmlu/test.jsonl", "mmlu/dev.jsonl"
FIELDS = ("question", "choices", "answer", "subject")
LETTERS = "ABCD"


def task_of(subject: str) -> str:
    """The lm-eval task of a subject."""
    return "mmlu_" + subject.replace(" ", "_")


def read(data: DataSource, settings: Settings) -> list[Item]:
    """The test items in file order.

    Raises:
        DataError: a missing field, other than four choices, or an answer outside them.
    """
    path, items = data.path(TEST), []
    for number, (line, row) in enumerate(data.numbered_rows(TEST, required=FIELDS), 1):
        choices = row["choices"]
        target = target_of(row, f"{path}:{line}")
        if not isinstance(choices, list) or len(choices) != len(LETTERS):
            raise DataError(f"{path}:{line}: choices must be a list of {len(LETTERS)} texts")
        items.append(
            Item(
                item_id=f"mmlu/{row['subject']}/{number}",
                row={**{key: row[key] for key in FIELDS}, **target},
                target=target,
                category=str(row["subject"]),
                task=task_of(str(row["subject"])),
                stratum=str(row["subject"]),
            )
        )
    return items


def examples(data: DataSource, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The worked examples of each subject."""
    if not settings.get("shots"):
        return {}
    pools: dict[str, list[dict[str, Any]]] = {}
    for row in data.rows(DEV, required=FIELDS):
        kept = {key: row[key] for key in FIELDS}
        pools.setdefault(task_of(str(row["subject"])), []).append(kept)
    return pools


def files(data: DataSource, settings: Settings) -> list[str]:
    """What the items and their examples come from."""
    return [TEST, DEV] if settings.get("shots") else [TEST]


@lru_cache(maxsize=2)
def _scorer() -> TaskScorer:
    """One subject's task scores them all: the metric is the same."""
    from harness.benchmarks.lm_eval_bridge import TaskSpec
    from harness.benchmarks.task_scorer import TaskScorer

    doc = {"question": "", "choices": ["", "", "", ""], "answer": 0, "subject": "anatomy"}
    return TaskScorer(TaskSpec("mmlu", "mmlu_anatomy"), doc)


def grade(answers: Sequence[Answer], settings: Settings) -> list[Grade]:
    """lm-eval's accuracy of scored letters; a written answer counts by its letter."""
    scored = [answer for answer in answers if answer.logprobs]
    docs = [{"answer": answer.target["answer"]} for answer in scored]
    judged = iter(_scorer()(docs, [a.logprobs for a in scored]) if scored else [])
    grades = []
    for answer in answers:
        if answer.logprobs:
            one = next(judged)["none"]
            grades.append(Grade({"acc": float(one.metrics["acc"])}, LETTERS[one.extracted]))
        else:
            found = answer_letter(answer.text, LETTERS)
            right = found == LETTERS[answer.target["answer"]]
            grades.append(Grade({"acc": float(right)}, found, found is None))
    return grades


def target_of(row: Mapping[str, Any], where: str) -> dict[str, int]:
    """The key of a row: ``answer`` as a number from 0 or a letter.

    Raises:
        DataError: neither, or outside the options.
    """
    return {"answer": choice_index(row.get("answer"), LETTERS, where)}


BENCHMARK = ObjectiveBenchmark(
    name="mmlu",
    info=BenchmarkInfo(
        "MMLU",
        (InfoColumn("mmlu", "MMLU", 90),),
        minimum_effect=1.5,
        spread=47.0,
    ),
    folder="mmlu/default",
    read=read,
    examples=examples,
    grade=grade,
    files=files,
    questions=questions_in("mmlu/test.jsonl", text="question"),
    target_of=target_of,
    own_fields=FIELDS,
)
