"""Extractions as tables of cases: what is read off an answer, and what counts as the same."""

from __future__ import annotations

import random
import re

import pytest

from harness.benchmarks.gpqa import extraction as gpqa
from harness.benchmarks.gsm8k import extraction as gsm8k
from harness.benchmarks.mmlu.extraction import letter
from harness.benchmarks.mmlu_pro import extraction as mmlu_pro
from harness.data import boxed as math


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("1,250.50", "1250.5"),
        ("$18.00", "18"),
        ("18.", "18"),
        ("-0.0", "0"),
        ("100", "100"),
        ("5%", "5"),
        ("€2,000", "2000"),
        ("007", "7"),
        (".5", "0.5"),
        ("1e400", "1" + "0" * 400),
        ("six", "six"),
        ("", ""),
    ],
)
def test_gsm8k_numbers_lose_currency_separators_and_trailing_zeros(given: str, plain: str) -> None:
    assert gsm8k.normalised(given) == plain


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 + 4 = 7\n#### 7", "7"),
        ("#### 7 eggs, then 9", "7"),
        ("The answer is $1,234.", "$1,234"),
        ("First the answer is 3. No, the answer is 4.", "4"),
        (r"So \boxed{42} in all of 50", "42"),
        ("She has 3 of 12 left", "12"),
        ("It costs $ 5.50 and -3", "-3"),
        ("no number", None),
        ("", None),
    ],
)
def test_gsm8k_final_number(text: str, number: str | None) -> None:
    assert gsm8k.final_number(text) == number


def test_gsm8k_answer_colon_reads_after_the_last_mark() -> None:
    assert gsm8k.after_answer_colon("A: 3\nso\nA: 1,204.") == "1204"
    assert gsm8k.after_answer_colon("the answer is 3") is None
    assert gsm8k.key_of("work\n#### 1,000") == "1,000"
    assert gsm8k.key_of("no mark") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is (B). The answer is (C).", ("B", 1)),
        ("the answer is J", ("J", 1)),
        ("Answer: C\nAnswer: D", ("C", 2)),
        ("answer: A or rather Answer:  B", ("B", 2)),
        ("I think D, or E perhaps", ("E", 3)),
        ("A cat sat", ("A", 3)),
        ("the answer is K", (None, 0)),
        ("", (None, 0)),
    ],
)
def test_mmlu_pro_official_chain(text: str, expected: tuple[str | None, int]) -> None:
    assert mmlu_pro.official(text) == expected


def test_mmlu_pro_linear_scans_find_what_the_official_patterns_find() -> None:
    label = re.compile(r".*[aA]nswer:\s*([A-J])")
    alone = re.compile(r"\b[A-J]\b(?!.*\b[A-J]\b)", re.DOTALL)
    pieces = ["Answer:", "answer:", " ", "\n", "A", "J", "K", "x", "nswer:", "Answer: C", "é"]
    rng = random.Random(0)
    for _ in range(5000):
        text = "".join(rng.choice(pieces) for _ in range(rng.randrange(9)))
        found, last = label.search(text), alone.search(text)
        assert mmlu_pro.last_label(text) == (found.group(1) if found else None), repr(text)
        assert mmlu_pro.last_letter(text) == (last.group(0) if last else None), repr(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is (C)", "C"),
        ("ANSWER: D", "D"),
        ("the correct answer is **B**", "B"),
        (r"the answer is \boxed{\text{A}}", "A"),
        ("maybe (A) or (B)", "B"),
        ("so D", "D"),
        ("none", None),
        ("", None),
    ],
)
def test_gpqa_flexible(text: str, expected: str | None) -> None:
    assert gpqa.flexible(text) == expected


def test_gpqa_strict_wants_the_very_phrase() -> None:
    assert gpqa.strict("The answer is (C).") == "C"
    assert gpqa.strict("answer is B") == "B"
    assert gpqa.strict("answer is Because") is None
    assert gpqa.strict("(C)") is None


def test_gpqa_order_depends_on_item_and_seed_alone_and_permutations_cover_all_places() -> None:
    first = gpqa.option_order("rec1", 0)
    random.seed(99)
    assert gpqa.option_order("rec1", 0) == first
    assert sorted(first) == [0, 1, 2, 3]
    orders = {gpqa.option_order(f"rec{i}", seed) for i in range(40) for seed in (0, 1)}
    assert len(orders) > 15
    letters = [gpqa.correct_letter(gpqa.option_order("rec1", 0, k)) for k in range(4)]
    assert sorted(letters) == ["A", "B", "C", "D"]
    places = [gpqa.correct_letter(gpqa.option_order(f"item {i}", 0)) for i in range(400)]
    assert all(60 < places.count(place) < 140 for place in "ABCD")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("The answer is B.", "B"), ("(C) because", "C"), ("Answer: d", "D"), ("Berlin", None)],
)
def test_mmlu_letter(text: str, expected: str | None) -> None:
    assert letter(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{1} then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\fbox{3}", "3"),
        (r"\boxed {4}", "4"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{5} and \boxed{unfinished", "5"),
        ("7", None),
    ],
)
def test_math_last_boxed(text: str, expected: str | None) -> None:
    assert math.last_boxed(text) == expected
