"""Answer keys of multiple-choice rows in the spellings that files have."""

from __future__ import annotations

from typing import Any

import pytest

from harness.benchmarks.choice_key import choice_index, choice_letter
from harness.errors import DataError


@pytest.mark.parametrize(
    ("key", "index"),
    [(0, 0), (3, 3), (1.0, 1), ("2", 2), ("B", 1), ("c", 2), ("(C)", 2), (" d. ", 3)],
)
def test_an_index_is_a_whole_number_or_a_letter(key: Any, index: int) -> None:
    assert choice_index(key, "ABCD", "f:1") == index


@pytest.mark.parametrize(
    "key", [4, -1, 1.5, True, None, float("nan"), float("inf"), "E", "", "AB", [1], "10" * 400]
)
def test_what_is_no_option_is_named_with_its_place(key: Any) -> None:
    with pytest.raises(DataError, match=r"^f:1: answer .* is outside (0\.\.3|its 4 options)"):
        choice_index(key, "ABCD", "f:1")


@pytest.mark.parametrize(("key", "letter"), [("A", "A"), ("(c)", "C"), ("b", "B"), ("C)", "C")])
def test_a_letter_in_any_dress(key: str, letter: str) -> None:
    assert choice_letter(key, "ABC", "f:1") == letter


@pytest.mark.parametrize("key", ["D", 1, 0, None, 1.0, "", "answer"])
def test_a_number_is_no_letter_because_it_may_count_from_one(key: Any) -> None:
    with pytest.raises(
        DataError, match=r"f:1: answer .* is outside its 3 options \(a letter A to C\)"
    ):
        choice_letter(key, "ABC", "f:1")
