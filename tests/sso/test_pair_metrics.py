"""Measures of pair quality, against values worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sso.pair_metrics import (
    PairQuality,
    average_logprobs,
    distinct_n,
    fits_context,
    measure_pairs,
    ngrams,
    overlap,
    summarize,
)
from sso.records import PreferencePair
from tests.sso.fake_engine import FakeLogprob

USER = ({"role": "user", "content": "x"},)


def pair(chosen: str, rejected: str, item: str = "q") -> PreferencePair:
    return PreferencePair(
        id=f"{item}/policy", query_id=item, prompt=USER, chosen=chosen, rejected=rejected
    )


@pytest.mark.parametrize(
    ("texts", "n", "expected"),
    [
        (["a b a b"], 1, 2 / 4),
        (["a b a b"], 2, 2 / 3),
        (["A b", "a B"], 2, 1 / 2),
        (["one"], 2, 1.0),
        (["it's."], 1, 1.0),
        ([], 1, 0.0),
        (["", " "], 1, 0.0),
    ],
)
def test_distinct_n(texts: list[str], n: int, expected: float) -> None:
    assert distinct_n(texts, n) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("a b c d", "a b c d", 1.0),
        ("a b c d", "A  B c, d", 1 / 4),  # abc | bcd, and abc, bc-comma, c-comma-d
        ("a b c d e", "a b c d f", 2 / 4),
        ("a b", "a b", 1.0),
        ("a b c", "x y z", 0.0),
        ("", "", 1.0),
        ("a", "", 0.0),
    ],
)
def test_overlap(first: str, second: str, expected: float) -> None:
    assert overlap(first, second) == pytest.approx(expected)


class Chatty:
    """Renders ChatML; a token is a word, worth minus its place in the text."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def render(self, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool) -> str:
        text = "".join(f"<|{m['role']}|>{m['content']} <end>\n" for m in messages)
        return text + "<|assistant|>" if add_generation_prompt else text

    def logprobs(
        self, prompts: Sequence[object], texts: Sequence[str], *, ended: Sequence[bool]
    ) -> list[FakeLogprob]:
        texts = [f"{t} <end>" if end else t for t, end in zip(texts, ended, strict=True)]
        self.seen = list(texts)
        return [
            FakeLogprob(-float(sum(range(1, 1 + len(t.split())))), len(t.split())) for t in texts
        ]


def test_average_logprob_counts_the_end_of_turn_of_a_whole_response() -> None:
    engine = Chatty()
    found = average_logprobs(engine, [USER, USER], ["a b", "a b"], [False, True])  # type: ignore[arg-type]
    assert engine.seen == ["a b <end>", "a b"]
    assert found == [pytest.approx(-(1 + 2 + 3) / 3), pytest.approx(-(1 + 2) / 2)]


def test_what_does_not_fit_the_context_is_left_open() -> None:
    class Short(Chatty):
        max_length = 30

        def count_tokens(self, text: str) -> int:
            return len(text)

    # "<|user|>x <end>\n<|assistant|>a b <end>\n" has 39 characters
    engine = Short()
    assert fits_context(engine, ["x" * 29, "x" * 30, "é" * 15]) == [True, False, True]  # type: ignore[arg-type]
    assert average_logprobs(engine, [USER], ["a b"], [False]) == [None]  # type: ignore[arg-type]
    assert average_logprobs(Chatty(), [USER], ["a b"], [False]) == [-2.0]  # type: ignore[arg-type]


def test_quality_of_a_pair() -> None:
    copy = "one two three four five six seven eight nine ten eleven twelve"
    first, second = measure_pairs([pair("a b c", "a b x y"), pair(copy, copy + " end", "r")])
    assert (first.chosen_chars, first.rejected_chars, first.overlap, first.near_copy) == (
        5,
        7,
        0,
        False,
    )
    assert second.overlap == pytest.approx(10 / 11)
    assert second.near_copy


def test_summary_is_the_mean_over_pairs() -> None:
    pairs = [pair("a b", "c c"), pair("a b c d", "c d", "r")]
    scored = [(-1.0, -3.0, -1.5), (-2.0, -2.5, None)]
    quality = [
        q.model_copy(update={"chosen_logp": c, "rejected_logp": r, "original_logp": o})
        for q, (c, r, o) in zip(measure_pairs(pairs), scored, strict=True)
    ]
    found = summarize(pairs, quality, {"chosen": [2, 4]})
    assert found == {
        "chosen_chars": 5.0,
        "rejected_chars": 3.0,
        "length_ratio": pytest.approx(5 / 3),
        "near_copy_rate": 0.0,
        "chosen_distinct_1": pytest.approx(4 / 6),
        "chosen_distinct_2": pytest.approx(3 / 4),
        "rejected_distinct_1": pytest.approx(2 / 4),
        "rejected_distinct_2": pytest.approx(2 / 2),
        "chosen_tokens": 3.0,
        "chosen_logp": -1.5,
        "rejected_logp": -2.75,
        "original_logp": -1.5,
        "logp_margin": pytest.approx((2.0 + 0.5) / 2),
        "chosen_gap": 0.5,  # the one pair whose yo is known
        "rejected_gap": -1.5,
    }


def test_without_logprobs_nothing_is_made_up() -> None:
    pairs = [pair("a b", "c d")]
    found = summarize(pairs, measure_pairs(pairs))
    assert not [name for name in found if "logp" in name or "gap" in name]
    assert (
        PairQuality.model_validate_json(measure_pairs(pairs)[0].model_dump_json()).original_logp
        is None
    )


@pytest.mark.parametrize("block", [1, 7, 1_000_000])
def test_distinct_n_in_blocks_is_that_of_all_tuples(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sso.pair_metrics.GRAMS", block)
    texts = ["one", "", "one two", "Two one, two one!", "three", "one two three four", "one"] * 3
    for n in (1, 2):
        grams = [gram for text in texts for gram in ngrams(text, n)]
        assert distinct_n(texts, n) == len(set(grams)) / len(grams)
    assert distinct_n([], 2) == distinct_n([""], 1) == 0.0
