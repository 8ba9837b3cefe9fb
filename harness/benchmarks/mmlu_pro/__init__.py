"""MMLU-Pro: questions with 3 to 10 options over 14 subjects, answered after a chain of thought.

In: ``mmlu_pro/test.jsonl`` and, for the examples, ``mmlu_pro/validation.jsonl``. Out: outputs, item
scores, scores ``custom_extract`` (lm-eval's one pattern), ``official`` (the authors' three) and
``letter`` (ours), over all items and by subject. README.md has the protocols, reference points and the changelog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.benchmarks.aggregate import Answer, Grade
from harness.benchmarks.answer_key import Item, ObjectiveBenchmark, Settings
from harness.benchmarks.base import questions_in
from harness.benchmarks.choice_key import choice_letter
from harness.benchmarks.letter_answer import answer_letter
from harness.benchmarks.mmlu_pro.extraction import LETTERS, official
from harness.data.sources import DataSource
from harness.errors import DataError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

if TYPE_CHECKING:
    from harness.benchmarks.task_scorer import TaskScorer

TEST = "mmlu_pro/test.jsonl"
VALIDATION = "mmlu_pro/validation.jsonl"
FIELDS = ("question_id", "question", "options", "answer", "category")
SUBJECTS = (
    *("biology", "business", "chemistry", "computer science", "economics", "engineering"),
    *("health", "history", "law", "math", "other", "philosophy", "physics", "psychology"),
)


def task_of(category: str) -> str:
    """The lm-eval task of a subject."""
    return "mmlu_pro_" + category.replace(" ", "_")


def read(data: DataSource, settings: Settings) -> list[Item]:
    """The test items in file order.

    Raises:
        DataError: a missing field, an unknown subject, or an answer outside the options.
    """
    path, items = data.path(TEST), []
    for number, row in data.numbered_rows(TEST, required=FIELDS):
        check(row, f"{path}:{number}")
        items.append(
            Item(
                item_id=f"mmlu_pro/{row['question_id']}",
                row=_row(row),
                target=target_of(row, f"{path}:{number}"),
                category=row["category"],
                task=task_of(row["category"]),
                stratum=row["category"],
            )
        )
    return items


def check(row: Mapping[str, Any], where: str) -> None:
    """Raise ``DataError`` for a row that can't be asked or scored."""
    options, answer = row["options"], row["answer"]
    if row["category"] not in SUBJECTS:
        raise DataError(f"{where}: no subject {row['category']!r} in MMLU-Pro")
    if not isinstance(options, list) or not 2 <= len(options) <= len(LETTERS):
        raise DataError(f"{where}: options must be a list of 2 to {len(LETTERS)} texts")
    choice_letter(answer, LETTERS[: len(options)], where)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: row[key] for key in FIELDS}
    kept["answer"] = choice_letter(row["answer"], LETTERS, "")
    return {**kept, "cot_content": str(row.get("cot_content") or "")}


def examples(data: DataSource, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The worked examples of each subject."""
    if not settings.get("shots"):
        return {}
    pools: dict[str, list[dict[str, Any]]] = {}
    for row in data.rows(VALIDATION, required=(*FIELDS, "cot_content")):
        pools.setdefault(task_of(row["category"]), []).append(_row(row))
    return pools


def files(data: DataSource, settings: Settings) -> list[str]:
    """What the items and their examples come from."""
    return [TEST, VALIDATION] if settings.get("shots") else [TEST]


@lru_cache(maxsize=2)
def _scorer() -> TaskScorer:
    """One subject's task scores them all: filters and metric are the same."""
    from harness.benchmarks.lm_eval_bridge import TaskSpec
    from harness.benchmarks.task_scorer import TaskScorer

    doc = {
        "question": "",
        "options": ["", ""],
        "answer": "A",
        "cot_content": "",
        "category": "math",
    }
    return TaskScorer(TaskSpec("mmlu_pro", "mmlu_pro_math"), doc)


def grade(answers: Sequence[Answer], settings: Settings) -> list[Grade]:
    """Of scored options the likeliest; of written answers lm-eval's pattern, the official chain and ours,
    where unparsed counts by the headline's."""
    written = [answer for answer in answers if not answer.logprobs]
    grades = iter(_by_text(written, settings) if written else [])
    return [_by_choice(answer) if answer.logprobs else next(grades) for answer in answers]


def _by_choice(answer: Answer) -> Grade:
    best = max(range(len(answer.logprobs)), key=lambda n: answer.logprobs[n][0])
    return Grade({"acc": float(LETTERS[best] == answer.target["answer"])}, LETTERS[best])


def _by_text(answers: Sequence[Answer], settings: Settings) -> list[Grade]:
    from harness.benchmarks.lm_eval_bridge import INVALID

    docs = [{"answer": answer.target["answer"]} for answer in answers]
    judged = _scorer()(docs, [answer.text for answer in answers])
    grades = []
    for answer, by_filter in zip(answers, judged, strict=True):
        one = by_filter["custom-extract"]
        count = int(answer.target.get("options") or len(LETTERS))
        found = {
            "custom_extract": None if one.extracted == INVALID else str(one.extracted),
            "official": official(answer.text)[0],
            "letter": answer_letter(answer.text, LETTERS[:count]),
        }
        values = {name: float(letter == answer.target["answer"]) for name, letter in found.items()}
        values["custom_extract"] = float(one.metrics["exact_match"])
        extracted = found.get(str(settings["metric"]), found["letter"])
        grades.append(Grade(values, extracted, extracted is None))
    return grades


def target_of(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The key of a row: the letter in ``answer``, among its ``options``.

    Raises:
        DataError: no letter of an option.
    """
    options = row.get("options")
    count = len(options) if isinstance(options, list) and options else len(LETTERS)
    letter = choice_letter(row.get("answer"), LETTERS[:count], where)
    return {"answer": letter, "options": count}


BENCHMARK = ObjectiveBenchmark(
    name="mmlu_pro",
    info=BenchmarkInfo(
        "MMLU-Pro",
        (InfoColumn("mmlu_pro", "MMLU-Pro", 50),),
        minimum_effect=1.5,
        spread=47.0,
    ),
    folder="mmlu_pro",
    read=read,
    examples=examples,
    grade=grade,
    files=files,
    questions=questions_in("mmlu_pro/test.jsonl", text="question", item_id="question_id"),
    target_of=target_of,
    own_fields=(*FIELDS, "answer_index", "cot_content", "src"),
)
