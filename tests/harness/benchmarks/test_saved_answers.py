"""The field of a model's text, and what it may hold."""

from __future__ import annotations

from typing import Any

import pytest

from harness.benchmarks.saved_answers import (
    ANSWER_FIELDS,
    SavedText,
    answer_field,
    harness_sample,
    is_harness_sample,
    read_text,
)
from harness.errors import DataError


@pytest.mark.parametrize("name", [n for n in ANSWER_FIELDS if n != "solution"])
def test_each_usual_name_is_found_unless_it_is_the_benchmark_s_own(name: str) -> None:
    assert answer_field({"question": "q", name: "x"}, ("question",), "f:1") == name
    with pytest.raises(DataError, match="f:1: the row has no answer"):
        answer_field({name: "x"}, (name,), "f:1")


@pytest.mark.parametrize(
    ("row", "taken"),
    [
        ({"solution": "s", "reference_solution": "r", "problem": "p"}, True),
        ({"solution": "s", "ground_truth": "1", "question": "q"}, True),
        ({"solution": "s", "ground_truth": "1", "problem": "p"}, False),
        ({"solution": "s", "problem": "p", "answer": "1"}, False),
    ],
)
def test_a_solution_is_the_answer_only_beside_a_reference(row: dict[str, Any], taken: bool) -> None:
    if taken:
        assert answer_field(row, (), "f:1") == "solution"
    else:
        with pytest.raises(DataError, match="may be the reference"):
            answer_field(row, (), "f:1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (["a"], "a"),
        ([["a"]], "a"),
        ([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "a"),
        ([{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "a"),
    ],
)
def test_text_in_its_wrappings(value: Any, text: str) -> None:
    assert read_text(value) == SavedText(text)


@pytest.mark.parametrize("value", [None, 1.5, float("nan"), {}, [], ["a", "b"], [None]])
def test_what_is_no_text_says_so(value: Any) -> None:
    assert read_text(value).error.startswith("the answer is ")


def test_samples_of_lm_eval() -> None:
    row = {"doc": {}, "resps": [["text"]]}
    assert is_harness_sample(row)
    assert harness_sample(row) == SavedText("text")
    pairs = {"doc": {}, "resps": [[["-1.5", "True"]], [[-2, False]]]}
    assert harness_sample(pairs).logprobs == ((-1.5, True), (-2.0, False))
    assert harness_sample({"doc": {}, "resps": [["a"], ["b"]]}).error
    assert not is_harness_sample({"doc": {}, "output": "x"})
