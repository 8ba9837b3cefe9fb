"""The starter data: complete, read by every benchmark, and every key that can be computed recomputed."""

from __future__ import annotations

import json
import re
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest

from harness.benchmarks import get_benchmark, load_protocol
from harness.benchmarks.base import EvalRequest
from harness.data import SAMPLE_FOLDER, STARTER_FOLDER, open_source


def rows(name: str) -> list[dict[str, Any]]:
    lines = (STARTER_FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def value(expression: str) -> Fraction:
    plain = expression.replace("\\cdot", "*").replace("\\div", "/").replace("^", "**")
    plain = re.sub(r"\|(-?\d+)\|", r"abs(\1)", plain)
    assert re.fullmatch(r"[\d\s+\-*/().abs]+", plain), expression
    return Fraction(eval(re.sub(r"\b(\d+)\b", r"Fraction(\1)", plain)))


def test_every_step_and_answer_of_the_word_problems_is_right() -> None:
    for row in rows("gsm8k/test.jsonl"):
        (step,) = re.findall(r"<<(.+?)=(.+?)>>", row["answer"])
        assert value(step[0]) == Fraction(step[1]) == Fraction(row["answer"].split("#### ")[1])
        numbers = {*re.findall(r"\d+", row["question"]), *_words(row["question"])}
        assert set(re.findall(r"\d+", step[0])) <= numbers, row["question"]


def _words(text: str) -> set[str]:
    spelled = ("one", "two", "three", "four", "five", "six", "seven")
    return {str(n) for n, word in enumerate(spelled, 1) if word in text.lower().split()}


def test_every_sum_of_the_math_problems_is_right() -> None:
    computed = 0
    for row in rows("math/math_500.jsonl"):
        assert f"\\boxed{{{row['answer']}}}" in row["solution"]
        worked = re.sub(r"\\boxed\{(.+?)\}", r"\1", row["solution"])
        for formula in re.findall(r"\$([^$]+)\$", worked):
            sides = [
                side for side in formula.split("=") if not re.search("[a-z](?!bs)", _plain(side))
            ]
            assert len({value(side) for side in sides}) <= 1, formula
            computed += len(sides) > 1
    assert computed >= 24


def _plain(side: str) -> str:
    return side.replace("\\cdot", "").replace("\\div", "")


@pytest.mark.parametrize("name", ["gsm8k", "math", "mmlu_pro", "gpqa"])
def test_the_quick_protocol_reads_them(name: str) -> None:
    request = EvalRequest(data=open_source("starter"), protocol=load_protocol(name, "quick"))
    drawn, everything = get_benchmark(name).items(request)
    assert len(drawn) == len(everything) >= 24


def test_subjects_are_even_and_options_distinct() -> None:
    questions = rows("mmlu_pro/test.jsonl")
    assert set(Counter(row["category"] for row in questions).values()) == {3}
    for row in questions:
        assert len(set(row["options"])) == len(row["options"]) == 5
        assert row["options"][row["answer_index"]] == row["options"]["ABCDE".index(row["answer"])]
    places = Counter(row["answer"] for row in questions)
    assert max(places.values()) <= 14


def test_no_item_is_also_in_the_sample() -> None:
    def questions(folder: Any, name: str, field: str) -> set[str]:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        return {json.loads(line)[field].lower() for line in lines}

    for name, field in (
        ("gsm8k/test.jsonl", "question"),
        ("math/math_500.jsonl", "problem"),
        ("mmlu_pro/test.jsonl", "question"),
    ):
        assert not questions(STARTER_FOLDER, name, field) & questions(SAMPLE_FOLDER, name, field)


def test_what_it_lacks_comes_from_the_sample() -> None:
    starter, sample = open_source("starter"), open_source("sample")
    assert starter.path("queries/queries.jsonl") == sample.path("queries/queries.jsonl")
    assert starter.path("gsm8k/test.jsonl") != sample.path("gsm8k/test.jsonl")
    assert starter.label == "sample@starter-1"
