"""GPQA: the strict pattern, and the order of the options."""

from __future__ import annotations

import random

from harness.benchmarks.gpqa import extraction as gpqa


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
