"""Ratings to figures: first turn, second turn, average, and the average of each category.

As FastChat's ``show_result``: a rating that could not be read is left out of every mean, and the
average is over ratings, not over the two turns' means. Other than there, what is left out is
counted, and the standard error treats the two turns of a question as one draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.benchmarks.aggregate import reasoning_counts
from harness.benchmarks.base import Outcome
from harness.benchmarks.judged import Header
from harness.benchmarks.mt_bench.files import TURNS, Question
from leaderboards.records import ItemScore, ReasoningState, Score
from leaderboards.statistics.errors import clustered_standard_error

NAME = "mt_bench"


@dataclass(frozen=True)
class RatedTurn:
    """One answer and its rating (1..10, ``None`` where there is none); ``state`` says why."""

    question: Question
    turn: int
    rating: float | None
    state: str = "ok"
    error: str = ""
    truncated: bool = False
    reasoning: ReasoningState = ""
    prompt_hash: str = ""

    @property
    def item_id(self) -> str:
        """Question and turn."""
        return item_id(self.question, self.turn)


def item_id(question: Question, turn: int) -> str:
    """Name of one answer: ``mt_bench/81/turn-1``."""
    return f"{NAME}/{question.question_id}/turn-{turn}"


def outcome(rated: Sequence[RatedTurn], questions: Sequence[Question], header: Header) -> Outcome:
    """Item scores in the order given, then the scores over ``questions`` (both turns expected)."""
    scores = [
        _score("average", rated, TURNS * len(questions), header, headline=True),
        *(
            _score(f"turn_{turn}", [r for r in rated if r.turn == turn], len(questions), header)
            for turn in (1, 2)
        ),
    ]
    for category in dict.fromkeys(q.category for q in questions):
        inside = [r for r in rated if r.question.category == category]
        expected = TURNS * sum(q.category == category for q in questions)
        scores.append(_score("average", inside, expected, header, category=category))
    return Outcome(items=[_item(r) for r in rated], scores=scores)


def _score(
    metric: str,
    rated: Sequence[RatedTurn],
    n_expected: int,
    header: Header,
    **more: Any,
) -> Score:
    known = [(r.rating, r.question.question_id) for r in rated if r.rating is not None]
    values = [value for value, _ in known]
    error = clustered_standard_error(values, [q for _, q in known]) if known else math.nan
    states = [r.state for r in rated]
    return Score(
        benchmark=NAME,
        metric=metric,
        value=math.fsum(values) / len(values) if values else None,
        unit="points",
        stderr=error if math.isfinite(error) else None,
        n=len(values),
        n_expected=n_expected,
        n_truncated=sum(r.truncated for r in rated),
        n_unparsed=states.count("unparsed"),
        n_error=sum(s not in ("ok", "unparsed", "missing") for s in states),
        n_missing=n_expected - len(rated) + states.count("missing"),
        **reasoning_counts(r.reasoning for r in rated),
        protocol=header.protocol,
        settings=dict(header.settings),
        judge=header.judge,
        data=header.data,
        marks=header.marks,
        **more,
    )


def _item(rated: RatedTurn) -> ItemScore:
    values = {} if rated.rating is None else {"average": rated.rating}
    if rated.rating is not None:
        values[f"turn_{rated.turn}"] = rated.rating
    return ItemScore(
        benchmark=NAME,
        item_id=rated.item_id,
        category=rated.question.category,
        cluster=rated.question.question_id,
        values=values,
        truncated=rated.truncated,
        unparsed=rated.state == "unparsed",
        error=rated.error,
        reasoning=rated.reasoning,
        prompt_hash=rated.prompt_hash,
    )
