"""GPQA: graduate-level science questions with four options.

In: ``gpqa/gpqa_main.csv``, ``gpqa_extended.csv`` or ``gpqa_diamond.csv`` with the official columns,
or the authors' ``gpqa/dataset.zip``, read in memory. Out: outputs, item scores, scores ``flexible`` and ``strict`` (or ``accuracy`` by log-likelihood),
over all items and by domain. The authors ask that the questions stay off the open web: answers are
stored scrambled, prompts as hashes only. README.md has the protocols and the changelog.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.benchmarks.aggregate import Answer, Grade
from harness.benchmarks.answer_key import Item, ObjectiveBenchmark, Settings
from harness.benchmarks.choice_key import choice_letter
from harness.benchmarks.gpqa.extraction import (
    LETTERS,
    correct_letter,
    option_order,
    strict,
)
from harness.benchmarks.letter_answer import answer_letter
from harness.data.gpqa_archive import ARCHIVE, gpqa_file, read_gpqa, read_member
from harness.data.sources import DataSource
from harness.errors import DataError, ProtocolError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

ANSWERS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
FIELDS = ("Record ID", "Question", *ANSWERS)


def _subset(data: DataSource, settings: Settings) -> str:
    """Which of the three sets; the sample has one."""
    return "main" if data.kind == "sample" else str(settings.get("set", "main"))


def read(data: DataSource, settings: Settings) -> list[Item]:
    """The items in file order, each once a permutation of its options.

    Raises:
        DataError: a missing column, or an empty question or answer (file and line, never the text).
    """
    subset, items = _subset(data, settings), []
    path = data.path(gpqa_file(data, subset))
    turns = int(settings.get("permutations", 1))
    seed = int(settings.get("order_seed", 0))
    if not 1 <= turns <= len(LETTERS):
        raise ProtocolError(f"GPQA: permutations must be 1 to {len(LETTERS)}, not {turns}")
    for number, row in enumerate(read_gpqa(data, subset, FIELDS), 2):
        empty = [field for field in FIELDS if not str(row[field]).strip()]
        if empty:
            raise DataError(f"{path}:{number}: the row has no {empty[0]!r}")
        for turn in range(turns):
            items.append(_item(row, settings, seed, turn, turns))
    return items


def _item(row: Mapping[str, Any], settings: Settings, seed: int, turn: int, turns: int) -> Item:
    record = str(row["Record ID"])
    order = option_order(record, seed, turn)
    texts = [tidy(row[ANSWERS[which]]) for which in order]
    letter = correct_letter(order)
    domain = str(row.get("High-level domain") or "")
    shown = {f"choice{n}": text for n, text in enumerate(texts, 1)}
    return Item(
        item_id=f"gpqa/{record}" + (f"/{turn}" if turns > 1 else ""),
        row={"Question": row["Question"], **shown, "answer": f"({letter})"},
        target={"answer": letter, "order": list(order)},
        category=domain,
        task=str(settings["task"]),
        stratum=domain,
        cluster=f"gpqa/{record}" if turns > 1 else "",
    )


def tidy(text: str) -> str:
    """An option as lm-eval's task shows it: a " [title]" mark and double spaces taken out."""
    return text.strip().replace(" [title]", ". ").replace("  ", " ")


def examples(data: DataSource, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """None: the protocols shipped show no examples."""
    return {}


def files(data: DataSource, settings: Settings) -> list[str]:
    """What the items come from."""
    return [gpqa_file(data, _subset(data, settings))]


def grade(answers: Sequence[Answer], settings: Settings) -> list[Grade]:
    """Both extractions of written answers; of scored options the likeliest."""
    return [_by_choice(a) if a.logprobs else _by_text(a, settings) for a in answers]


def _by_choice(answer: Answer) -> Grade:
    best = max(range(len(answer.logprobs)), key=lambda n: answer.logprobs[n][0])
    letter = LETTERS[best]
    return Grade({"accuracy": float(letter == answer.target["answer"])}, letter)


def _by_text(answer: Answer, settings: Settings) -> Grade:
    found = {"flexible": answer_letter(answer.text, LETTERS), "strict": strict(answer.text)}
    values = {name: float(letter == answer.target["answer"]) for name, letter in found.items()}
    extracted = found[str(settings["metric"])]
    return Grade(values, extracted, extracted is None)


def target_of(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """The key of a row: the letter in ``answer``, bracketed or not.

    Raises:
        DataError: no letter A to D.
    """
    return {"answer": choice_letter(row.get("answer"), LETTERS, where)}


QUESTION_FILES = ("gpqa/gpqa_main.csv", "gpqa/gpqa_diamond.csv")


def questions(data: DataSource) -> Iterator[tuple[str, str]]:
    """Id and text of every question of the largest set that is present."""
    extended, archive = data.find("gpqa/gpqa_extended.csv"), data.find(ARCHIVE)
    if extended is not None:
        rows = data.rows("gpqa/gpqa_extended.csv", required=("Question",))
    elif archive is not None:
        rows = read_member(archive, "extended")
    elif data.find(*QUESTION_FILES):
        rows = data.rows(*QUESTION_FILES, required=("Question",))
    else:
        return
    for number, row in enumerate(rows):
        yield str(row.get("Record ID", number)), str(row["Question"])


BENCHMARK = ObjectiveBenchmark(
    name="gpqa",
    info=BenchmarkInfo(
        "GPQA",
        (InfoColumn("gpqa", "GPQA", 40),),
        minimum_effect=10.0,
        spread=50.0,
        gated=True,
    ),
    folder="gpqa",
    read=read,
    examples=examples,
    grade=grade,
    files=files,
    questions=questions,
    target_of=target_of,
    own_fields=(*FIELDS, "answer", "choices", "choice1", "choice2", "choice3", "choice4"),
    changes={"process_docs": None, "training_split": None},
)
