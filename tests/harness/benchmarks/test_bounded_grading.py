"""Extraction that never ends, dies, or raises costs the answer it happens on, and no other."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from harness.benchmarks.aggregate import Answer, Grade
from harness.benchmarks.bounded_grading import TOGETHER, grade_bounded

PARENT = os.getpid()


def grade(answers: Sequence[Answer]) -> list[Grade]:
    return [_one(answer.text) for answer in answers]


def _one(text: str) -> Grade:
    if text == "hang":
        while True:
            pass
    if text == "die":
        os._exit(3)
    if text == "deep":
        raise RecursionError
    if text == "large":
        bytes(1 << 40)
    return Grade({"right": float(text == "yes")}, extracted=str(os.getpid() == PARENT))


def test_each_bad_answer_is_its_own_error() -> None:
    texts = ["yes", "hang", "no", "die", "deep", "large", "yes"]
    grades = grade_bounded(grade, [Answer({}, text) for text in texts], seconds=0.3)
    assert [g.error for g in grades] == [
        *("", "grading took more than 0.3 s of CPU time", "", "the grader died"),
        *("grading failed: RecursionError", "grading failed: MemoryError", ""),
    ]
    assert [g.values.get("right") for g in grades] == [1.0, None, 0.0, None, None, None, 1.0]
    assert {g.extracted for g in grades if not g.error} == {"False"}, "graded in another process"


def test_many_answers_keep_their_order() -> None:
    texts = ["yes" if k % 3 else "no" for k in range(2 * TOGETHER + 5)]
    grades = grade_bounded(grade, [Answer({}, text) for text in texts])
    assert [g.values["right"] for g in grades] == [float(text == "yes") for text in texts]
    assert grade_bounded(grade, []) == []


def test_a_wrong_setting_is_no_error_of_an_item() -> None:
    def broken(answers: Sequence[Answer]) -> list[Grade]:
        raise KeyError("metric")

    with pytest.raises(KeyError):
        grade_bounded(broken, [Answer({}, "yes")])
