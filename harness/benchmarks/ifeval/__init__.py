"""IFEval: prompts whose instructions a program can check.

In: ``ifeval/input_data.jsonl`` (key, prompt, instruction_id_list, kwargs). Out: outputs, item scores,
the four usual scores (prompt and instruction level, strict and loose), from lm-eval's own checkers.
README.md has the protocols, reference points and the changelog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.benchmarks.aggregate import Answer, Grade
from harness.benchmarks.answer_key import Item, ObjectiveBenchmark, Settings
from harness.benchmarks.base import questions_in
from harness.benchmarks.ifeval.punkt import ensure_punkt
from harness.data.sources import DataSource
from harness.errors import DataError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

FILE = "ifeval/input_data.jsonl"
FIELDS = ("key", "prompt", "instruction_id_list", "kwargs")
GRADER = Path(__file__).with_name("grader.py")
SECONDS = 2.0
"""CPU time for the checks of one answer."""
LEVELS = {
    "prompt_level_strict_acc": "prompt_strict",
    "prompt_level_loose_acc": "prompt_loose",
    "inst_level_strict_acc": "instruction_strict",
    "inst_level_loose_acc": "instruction_loose",
}


def read(data: DataSource, settings: Settings) -> list[Item]:
    """The prompts in file order.

    Raises:
        DataError: a missing field, or not one set of arguments per instruction (file and line).
    """
    path, items = data.path(FILE), []
    for number, row in enumerate(data.rows(FILE, required=FIELDS), 1):
        kinds, arguments = row["instruction_id_list"], row["kwargs"]
        if not isinstance(kinds, list) or not kinds or len(kinds) != len(arguments):
            raise DataError(f"{path}:{number}: needs one set of kwargs for each instruction")
        family = str(kinds[0]).split(":")[0]
        kept = {key: row[key] for key in FIELDS}
        asked = {"key": row["key"], "prompt": row["prompt"]}
        items.append(
            Item(f"ifeval/{row['key']}", asked, kept, family, settings["task"], stratum=family)
        )
    return items


def examples(data: DataSource, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """None: the prompts stand by themselves."""
    return {}


def files(data: DataSource, settings: Settings) -> list[str]:
    """What the items come from."""
    return [FILE]


def grade(answers: Sequence[Answer], settings: Settings) -> list[Grade]:
    """Strict and loose, of whole prompts and of their instructions (weighted by their number)."""
    from harness.benchmarks.grader_processes import grade_all

    if not answers:
        return []
    ensure_punkt()
    tasks = [{"target": dict(answer.target), "text": answer.text} for answer in answers]
    results = grade_all(GRADER, tasks, seconds=float(settings.get("grading_seconds", SECONDS)))
    return [_grade(result) for result in results]


def _grade(verdicts: Mapping[str, Any]) -> Grade:
    if "error" in verdicts:
        return Grade({}, error=str(verdicts["error"]))
    values, weights = {}, {}
    for name, metric in LEVELS.items():
        followed = verdicts[name]
        listed = followed if isinstance(followed, list) else [followed]
        values[metric] = sum(map(bool, listed)) / len(listed)
        weights[metric] = float(len(listed))
    return Grade(values, weights=weights)


def target_of(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The instructions of a row, as in the authors' files.

    Raises:
        DataError: a missing field.
    """
    missing = [key for key in FIELDS if row.get(key) is None]
    if missing:
        raise DataError(f"{where}: the row has no {missing[0]!r}")
    return {key: row[key] for key in FIELDS}


BENCHMARK = ObjectiveBenchmark(
    name="ifeval",
    info=BenchmarkInfo(
        "IFEval",
        (InfoColumn("ifeval", "IFEval", 100),),
        minimum_effect=6.0,
        spread=42.0,
    ),
    folder="ifeval",
    read=read,
    examples=examples,
    grade=grade,
    files=files,
    questions=questions_in("ifeval/input_data.jsonl", text="prompt", item_id="key"),
    target_of=target_of,
    own_processes=True,
    own_fields=FIELDS,
    changes={"doc_to_target": "", "process_results": None},
)
