"""The engine without a model: a function of model, prompt and seed that keeps the contract."""

from __future__ import annotations

import pytest

from groundwork.sampling_params import SamplingParams
from harness.engines.errors import ContextTooLong
from harness.engines.fake import FakeEngine

SAMPLED = SamplingParams(30, temperature=0.7)


def test_texts_follow_model_prompt_and_seed() -> None:
    first = FakeEngine("a").chat(["x", "y"], SAMPLED, seeds=[1, 1])
    assert first == FakeEngine("a").chat(["x", "y"], SAMPLED, seeds=[1, 1])
    assert first != FakeEngine("b").chat(["x", "y"], SAMPLED, seeds=[1, 1])
    assert first[0] != FakeEngine("a").chat(["x"], SAMPLED, seeds=[2])[0]
    greedy = SamplingParams(30)
    assert FakeEngine().chat(["x"], greedy, seeds=[1]) == FakeEngine().chat(
        ["x"], greedy, seeds=[2]
    )


def test_limits_and_stop_strings() -> None:
    engine = FakeEngine(reply=lambda text, seed: "one two three four")
    cut, stopped = (
        engine.chat(["x"], params)[0]
        for params in (SamplingParams(2), SamplingParams(9, stop=("three",)))
    )
    assert (cut.text, cut.completion_tokens, cut.truncated) == ("one two", 2, True)
    assert (stopped.text, stopped.truncated) == ("one two ", False)
    with pytest.raises(ContextTooLong, match=r"prompt 1 needs 4 tokens .* has 3"):
        FakeEngine(max_length=3).chat(["a", "a b c"], SamplingParams(1))


def test_finished_items_are_not_reported_again() -> None:
    seen: list[int] = []
    FakeEngine().chat(
        ["a", "b", "c"], SAMPLED, on_done=lambda index, _: seen.append(index), finished=[1]
    )
    assert seen == [0, 2]


def test_log_probabilities_are_negative_and_follow_the_continuation() -> None:
    one, two = FakeEngine().logprobs(["x", "x"], ["a b", "c d e"])
    assert (one.tokens, two.tokens) == (2, 3)
    assert one.total < 0
    assert one.total / one.tokens != two.total / two.tokens
