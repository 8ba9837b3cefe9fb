r"""MATH: competition problems with a boxed answer, the whole test set or MATH-500.

In: ``math/math_500.jsonl`` or ``math/math_test_5000.jsonl`` (problem, solution, answer, subject or
type, level, unique_id). Out: outputs, item scores, scores ``math_verify`` (Math-Verify) and
``minerva`` (lm-eval's exact match), over all items and by subject. Grading runs in processes that are
killed when they take too long. README.md has the protocols, reference points and the changelog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.benchmarks.aggregate import Answer, Grade
from harness.benchmarks.answer_key import Item, ObjectiveBenchmark, Settings
from harness.benchmarks.base import questions_in
from harness.data.boxed import last_boxed
from harness.data.sources import DataSource
from harness.errors import DataError, ProtocolError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

SETS = {"math_500": "math/math_500.jsonl", "full": "math/math_test_5000.jsonl"}
FIELDS = ("problem", "solution", "answer", "unique_id", "level")
GRADER = Path(__file__).with_name("grader.py")
SECONDS = 2.0
"""CPU time for grading one answer."""


def _file(data: DataSource, settings: Settings) -> str:
    name = str(settings.get("set", "math_500"))
    if name not in SETS:
        raise ProtocolError(f"MATH has no set {name!r} (there are: {', '.join(SETS)})")
    return SETS["math_500" if data.kind == "sample" else name]  # the sample has one set


def read(data: DataSource, settings: Settings) -> list[Item]:
    """The items in file order.

    Raises:
        DataError: a missing field, or a solution without its boxed answer (file and line).
    """
    name = _file(data, settings)
    path, items = data.path(name), []
    for number, row in data.numbered_rows(name, required=FIELDS):
        subject = row.get("subject") or row.get("type")
        if not subject:
            raise DataError(f"{path}:{number}: the row has no field 'subject' or 'type'")
        if "\\boxed" not in row["solution"] and "\\fbox" not in row["solution"]:
            raise DataError(f"{path}:{number}: the solution has no boxed answer")
        items.append(
            Item(
                item_id=f"math/{row['unique_id']}",
                row={"problem": row["problem"], "solution": row["solution"]},
                target={"solution": row["solution"], "answer": row["answer"]},
                category=str(subject),
                task=str(settings["task"]),
                stratum=f"{subject} {row['level']}",
            )
        )
    return items


def examples(data: DataSource, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """None: the task brings its own four worked examples."""
    return {}


def files(data: DataSource, settings: Settings) -> list[str]:
    """What the items come from."""
    return [_file(data, settings)]


def grade(answers: Sequence[Answer], settings: Settings) -> list[Grade]:
    """Both graders; an answer that takes too long is wrong and counted as an error."""
    from harness.benchmarks.grader_processes import grade_all

    tasks = [
        {
            "solution": answer.target["solution"],
            "answer": str(answer.target["answer"]),
            "text": answer.text,
        }
        for answer in answers
    ]
    seconds = float(settings.get("grading_seconds", SECONDS))
    results = grade_all(GRADER, tasks, seconds=seconds)
    return [_grade(answer, result) for answer, result in zip(answers, results, strict=True)]


def _grade(answer: Answer, result: Mapping[str, Any]) -> Grade:
    if "error" in result:
        values = {"math_verify": 0.0, "minerva": 0.0}
        return Grade(values, last_boxed(answer.text), error=str(result["error"]))
    values = {name: float(result[name]) for name in ("math_verify", "minerva")}
    extracted = last_boxed(answer.text) or result["parsed"]
    return Grade(values, extracted, unparsed=extracted is None)


def target_of(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """The key of a row: ``ground_truth`` or ``answer``, else the box of its reference solution.

    Raises:
        DataError: the row has none of them.
    """
    key = row.get("ground_truth", row.get("answer"))
    if key is None:
        reference = row.get("reference_solution", row.get("solution"))
        key = last_boxed(reference) if isinstance(reference, str) else None
    if isinstance(key, bool) or not isinstance(key, (str, int, float)) or key == "" or key != key:
        raise DataError(f"{where}: the row has no answer key ('ground_truth' or 'answer')")
    key = f"{key:g}" if isinstance(key, float) else str(key)
    return {"solution": f"$\\boxed{{{key}}}$", "answer": key}


BENCHMARK = ObjectiveBenchmark(
    name="math",
    info=BenchmarkInfo(
        "MATH",
        (InfoColumn("math", "MATH", 60),),
        minimum_effect=2.5,
        spread=49.0,
    ),
    folder="minerva_math",
    read=read,
    examples=examples,
    grade=grade,
    files=files,
    questions=questions_in(
        "math/math_test_5000.jsonl", "math/math_500.jsonl", text="problem", item_id="unique_id"
    ),
    target_of=target_of,
    own_processes=True,
    own_fields=(*FIELDS, "ground_truth", "subject", "type"),
)
