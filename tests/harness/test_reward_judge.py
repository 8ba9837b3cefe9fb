"""A reward model as a judge: scores become verdicts in both orders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.reward_judge import RewardJudge, reward_folder
from judges import Comparison, Rating
from tests.harness.benchmarks.rewardbench.test_rewardbench import ByLength

PAIRS = [
    Comparison(item_id="a", instruction="q", output_1="short", output_2="much longer"),
    Comparison(item_id="b", instruction="q", output_1="same", output_2="also"),
    Comparison(item_id="c", instruction="q", output_1="x", output_2=""),
]


@contextmanager
def by_length(folder: Path) -> Iterator[Any]:
    yield ByLength()


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RewardJudge:
    monkeypatch.setattr("harness.reward_judge.reward_judge_id", lambda name: f"{name}@w")
    return RewardJudge(f"reward:{tmp_path}", by_length)


def test_the_higher_score_wins_in_both_orders(judge: RewardJudge) -> None:
    found = judge.pairwise(PAIRS)
    assert [(a.value, b.value) for a, b in found] == [(2.0, 2.0), (1.5, 1.5), (1.0, 1.0)]
    assert [b.swapped for _, b in found] == [True] * 3
    assert all(v.judge.endswith("@w") for both in found for v in both)
    preferences = [v.value for v in judge.preferences(PAIRS)]
    assert preferences[0] == pytest.approx(1 + 1 / (1 + 2.718281828**-6), abs=1e-6)
    assert preferences[1] == 1.5
    assert [both[0].value for both in judge.graded(PAIRS)] == [2.0, 1.5, 1.25]


def test_it_rates_no_single_answer(judge: RewardJudge) -> None:
    with pytest.raises(UserError, match="rates none"):
        judge.ratings([Rating(item_id="a", category="c", turns=("q", "a"))])


def test_a_folder_that_is_no_reward_model(tiny_model_dir: Path) -> None:
    assert reward_folder("gpt-4.1") is None
    with pytest.raises(UserError, match="is no reward model"):
        RewardJudge(f"reward:{tiny_model_dir}", by_length)
    with pytest.raises(UserError, match="no folder"):
        RewardJudge("reward:/nowhere/at/all", by_length)
