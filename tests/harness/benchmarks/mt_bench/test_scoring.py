"""Ratings to figures: what is left out of the means, and how it is counted."""

from __future__ import annotations

import math

import pytest

from harness.benchmarks.judged import Header
from harness.benchmarks.mt_bench.files import Question
from harness.benchmarks.mt_bench.scoring import RatedTurn, item_id, outcome

FIRST = Question("81", "writing", ("a", "b"))
SECOND = Question("101", "math", ("c", "d"))


def rated(question: Question, turn: int, rating: float | None, **more: object) -> RatedTurn:
    state = "ok" if rating is not None else "unparsed"
    return RatedTurn(question, turn, rating, **{"state": state, **more})  # type: ignore[arg-type]


def test_the_average_is_over_ratings_and_leaves_unread_ones_out() -> None:
    turns = [rated(FIRST, 1, 9), rated(FIRST, 2, 6), rated(SECOND, 1, 3), rated(SECOND, 2, None)]
    found = outcome(turns, [FIRST, SECOND], Header("mt/x@1"))
    by_name = {(s.metric, s.category): s for s in found.scores}
    average = by_name["average", ""]
    assert (average.value, average.n, average.n_expected, average.n_unparsed) == (6, 3, 4, 1)
    assert average.headline
    assert (by_name["turn_1", ""].value, by_name["turn_2", ""].value) == (6, 6)
    assert (by_name["average", "writing"].value, by_name["average", "math"].value) == (7.5, 3)
    assert {s.unit for s in found.scores} == {"points"}
    assert [item.values for item in found.items] == [
        {"average": 9, "turn_1": 9},
        {"average": 6, "turn_2": 6},
        {"average": 3, "turn_1": 3},
        {},
    ]
    assert [item.cluster for item in found.items] == ["81", "81", "101", "101"]


def test_both_turns_of_a_question_are_one_draw() -> None:
    """Equal turns within questions: the error is that of two draws, not of four."""
    turns = [rated(q, t, r) for q, r in ((FIRST, 8), (SECOND, 4)) for t in (1, 2)]
    average = outcome(turns, [FIRST, SECOND], Header("p")).scores[0]
    assert average.stderr == pytest.approx(2.0, rel=0.5)
    alone = math.sqrt(4 / 4)
    assert average.stderr > alone


def test_turns_that_were_never_judged_are_missing_and_errors_counted() -> None:
    turns = [rated(FIRST, 1, None, state="error", error="no answer")]
    average = outcome(turns, [FIRST, SECOND], Header("p")).scores[0]
    assert (average.value, average.stderr, average.n) == (None, None, 0)
    assert (average.n_error, average.n_missing, average.n_expected) == (1, 3, 4)


def test_item_ids_name_question_and_turn() -> None:
    assert item_id(FIRST, 2) == "mt_bench/81/turn-2"
