"""MMLU-Pro: the official chain, and its linear form against the official patterns."""

from __future__ import annotations

import random
import re

import pytest

from harness.benchmarks.mmlu_pro import extraction as mmlu_pro


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
