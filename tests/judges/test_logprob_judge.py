"""The local judge on an engine whose log-probabilities are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from judges import Comparison, JudgeError, JudgeSettings, Rating, open_judge
from judges.logprob_judge import BAD, GOOD, SLOPE, LocalJudge, LocalReading, local_agreement
from judges.store import VerdictStore


class WordEngine:
    """Per word: -1 under the good principle (-2 for "bad"), the other way round under the bad one,
    -3 without; the letter A has -0.5, B -1.5, whatever is shown."""

    name = "words"
    model_hash = "cafe"

    def __init__(self) -> None:
        self.calls = 0

    def logprobs(self, prompts: Sequence[Any], continuations: Sequence[str]) -> list[Any]:
        self.calls += len(prompts)
        return [self._one(p, c) for p, c in zip(prompts, continuations, strict=True)]

    @staticmethod
    def _one(prompt: Any, continuation: str) -> Any:
        words = continuation.split()
        if continuation in ("A", "B"):
            return SimpleNamespace(total=-0.5 if continuation == "A" else -1.5, tokens=1)
        system = prompt[0]["content"] if prompt[0]["role"] == "system" else ""
        good, bad = {GOOD: (-1, -2), BAD: (-2, -1)}.get(system, (-3, -4))
        return SimpleNamespace(
            total=float(sum(bad if w == "bad" else good for w in words)), tokens=len(words)
        )


def judge(tmp_path: Path, reading: LocalReading = "contrast") -> tuple[LocalJudge, WordEngine]:
    engine = WordEngine()
    return LocalJudge(engine, VerdictStore(tmp_path / "v.sqlite"), reading=reading), engine


def pair(first: str, second: str, item_id: str = "1") -> Comparison:
    return Comparison(item_id=item_id, instruction="q", output_1=first, output_2=second)


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_contrast_by_hand(tmp_path: Path) -> None:
    local, _ = judge(tmp_path)
    # "fine words": (-1) - (-2) = 1 a token; "bad fine": (1 - 1) / 2 = 0 a token.
    [verdict] = local.preferences([pair("bad fine", "fine words")])
    assert verdict.value == pytest.approx(1 + logistic(SLOPE["contrast"]))
    [(first, second)] = local.pairwise([pair("bad fine", "fine words")])
    assert (first.value, second.value) == (2.0, 2.0)
    assert (first.swapped, second.swapped) == (False, True)
    [rating] = local.ratings([Rating(item_id="1", category="x", turns=("q", "bad fine"))])
    assert rating.value == pytest.approx(5.5)


def test_letters_average_both_orders(tmp_path: Path) -> None:
    """An engine that always likes A better has no opinion once both orders are averaged."""
    local, _ = judge(tmp_path, "letters")
    [verdict] = local.preferences([pair("one", "two")])
    assert verdict.value == pytest.approx(1.5)
    [(first, second)] = local.pairwise([pair("one", "two")])
    assert (first.value, second.value) == (1.0, 2.0)


def test_likelihood_by_hand(tmp_path: Path) -> None:
    local, _ = judge(tmp_path, "likelihood")
    [verdict] = local.preferences([pair("bad bad", "fine words x")])
    assert verdict.value == pytest.approx(1 + logistic(SLOPE["likelihood"] * 1.0))


def test_empty_answers_lose_and_equal_ones_tie(tmp_path: Path) -> None:
    local, _ = judge(tmp_path)
    items = [pair("", "bad", "1"), pair("bad", " ", "2"), pair("", "", "3"), pair("x", "x", "4")]
    assert [v.value for v in local.preferences(items)] == [2.0, 1.0, 1.5, 1.5]
    assert [v.value for v, _ in local.pairwise(items)] == [2.0, 1.0, 1.5, 1.5]
    [rating] = local.ratings([Rating(item_id="1", category="x", turns=("q", ""))])
    assert rating.value == 1.0


def test_a_baseline_is_read_once_for_all_checkpoints(tmp_path: Path) -> None:
    local, engine = judge(tmp_path)
    local.preferences([pair("base line", "first checkpoint")])
    assert engine.calls == 4
    local.preferences([pair("base line", "second checkpoint")])
    assert engine.calls == 6
    again, other = judge(tmp_path)
    again.preferences([pair("base line", "first checkpoint")])
    assert other.calls == 0


def test_another_model_does_not_share_readings(tmp_path: Path) -> None:
    local, engine = judge(tmp_path)
    local.preferences([pair("a", "b")])
    other = WordEngine()
    other.model_hash = "beef"
    LocalJudge(other, VerdictStore(tmp_path / "v.sqlite")).preferences([pair("a", "b")])
    assert (engine.calls, other.calls) == (4, 4)


def test_second_turns_show_the_conversation(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Watching(WordEngine):
        def logprobs(self, prompts: Sequence[Any], continuations: Sequence[str]) -> list[Any]:
            seen.extend(prompts)
            return super().logprobs(prompts, continuations)

    local = LocalJudge(Watching(), VerdictStore(tmp_path / "v.sqlite"))
    local.ratings([Rating(item_id="1", category="x", turns=("q1", "a1", "q2", "a2"))])
    assert [m["role"] for m in seen[0]] == ["system", "user", "assistant", "user"]
    assert [m["content"] for m in seen[0]][1:] == ["q1", "a1", "q2"]


def test_it_is_not_comparable_and_says_how_well_it_agrees(tmp_path: Path) -> None:
    local, _ = judge(tmp_path)
    facts = local.describe()
    assert not local.comparable
    assert facts["agreement"] == local_agreement("contrast")
    assert "local" in local.preferences([pair("a", "b")])[0].protocol
    assert local.snapshot == "local:cafe"


def test_opening(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="needs an engine"):
        open_judge(JudgeSettings("local"), tmp_path / "v.sqlite")
    vibes = JudgeSettings("local", reading="vibes")  # type: ignore[arg-type]
    with pytest.raises(JudgeError, match="no reading 'vibes'"):
        open_judge(vibes, tmp_path / "v.sqlite", engine=WordEngine())
    open_judge(JudgeSettings("local"), tmp_path / "v.sqlite", engine=WordEngine()).check()
