"""Figures of reward models' benchmarks: means, weights and their errors."""

from __future__ import annotations

import math

import pytest

from harness.benchmarks.scored_answers import (
    Part,
    Question,
    by_subset,
    mean_part,
    plain_mean,
    weighted_part,
)


def test_a_mean_with_its_standard_error() -> None:
    part = mean_part([1.0, 1.0, 0.0, 0.0])
    assert part.value == 0.5
    assert part.stderr == pytest.approx(math.sqrt((4 * 0.25 / 3) / 4))
    assert mean_part([1.0]).stderr is None


def test_weights_count_for_the_value_and_the_square_for_the_error() -> None:
    parts = [(Part(1.0, 0.04, 10), 3.0), (Part(0.0, 0.0, 5), 1.0)]
    found = weighted_part(parts)
    assert (found.value, found.n) == (0.75, 15)
    assert found.stderr == pytest.approx(0.75 * 0.2)
    both = {"a": Part(1.0, 0.0, 1), "b": Part(0.5, 0.0, 3)}
    mean = plain_mean(both, ("a", "b"))
    assert mean is not None
    assert mean.value == 0.75
    assert plain_mean(both, ("a", "c")) is None


def test_items_without_a_value_are_in_no_subset() -> None:
    questions = [Question(str(i), subset, (), ()) for i, subset in enumerate("aab")]
    assert by_subset(questions, [1.0, 0.0, None]) == {"a": [1.0, 0.0]}
