"""Win rates by hand, the interval, and style held equal."""

from __future__ import annotations

import numpy as np
import pytest

from harness.benchmarks.arena_hard.bradley_terry import (
    games_of,
    interval,
    style_difference,
    style_of,
    win_rate,
)

SAME = ("text", "text")


def test_strong_verdicts_count_three_times_and_ties_half() -> None:
    games = games_of([(2.0, 1.75), (1.5, 1.0)], [SAME, SAME])
    # 3 wins and 1 win, a half of 1, 0 of 3: 4.5 of 8
    assert win_rate(games, 3) == pytest.approx(4.5 / 8)
    assert win_rate(games, 1) == pytest.approx(2.5 / 4)


def test_the_share_is_the_bradley_terry_estimate() -> None:
    """The rate at which the likelihood of the weighted games is largest."""
    rng = np.random.default_rng(0)
    values = rng.choice([1.0, 1.25, 1.5, 1.75, 2.0], size=(40, 2))
    games = games_of([tuple(row) for row in values.tolist()], [SAME] * 40)
    rates = np.linspace(0.001, 0.999, 9981)
    won = lost = 0.0
    for value in values.ravel():
        weight = 3 if value in (1.0, 2.0) else 1
        share = 0.5 if value == 1.5 else float(value > 1.5)
        won, lost = won + weight * share, lost + weight * (1 - share)
    best = rates[np.argmax(won * np.log(rates) + lost * np.log(1 - rates))]
    assert win_rate(games, 3) == pytest.approx(best, abs=2e-4)


def test_the_interval_holds_the_rate_and_narrows_with_more_questions() -> None:
    few = games_of([(2.0, 1.75), (1.0, 1.25)] * 5, [SAME] * 10)
    many = games_of([(2.0, 1.75), (1.0, 1.25)] * 50, [SAME] * 100)
    narrow, wide = interval(many, 3, 200, 42), interval(few, 3, 200, 42)
    assert narrow is not None
    assert wide is not None
    assert wide.low < 0.5 < wide.high
    assert narrow.high - narrow.low < wide.high - wide.low
    assert interval(few, 3, 200, 42) == wide
    assert interval(games_of([(2.0, 2.0)], [SAME]), 3, 200, 42) is None


def test_style_control_takes_back_what_length_explains() -> None:
    """A judge that prefers the longer answer, whoever wrote it; the model mostly writes longer ones."""
    rng = np.random.default_rng(1)
    verdicts, texts = [], []
    for number in range(200):
        longer = number % 4 != 0
        texts.append(("x" * 300, "x" * 100) if longer else ("x" * 100, "x" * 300))
        likes = longer if rng.random() < 0.9 else not longer
        verdicts.append((1.75, 1.75) if likes else (1.25, 1.25))
    games = games_of(verdicts, texts)
    assert win_rate(games, 3) > 0.65
    assert win_rate(games, 3, style_control=True) == pytest.approx(0.5, abs=0.1)
    plain = games_of([(1.75, 1.25)] * 10, [SAME] * 10)
    assert win_rate(plain, 3, style_control=True) == pytest.approx(0.5)


def test_style_counts_markdown_outside_code() -> None:
    text = "# Head\n- one\n2. two\n**bold** and **more**\n```\n# no head\n- no item\n```"
    assert style_of(text) == (len(text), 1, 2, 2)
    assert style_difference("ab", "ab") == (0, 0, 0, 0)
    assert style_difference("x" * 30, "x" * 10)[0] == pytest.approx(0.5)
