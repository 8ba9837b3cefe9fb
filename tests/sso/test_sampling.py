"""Contrastive sampling: which prompt gets which seed, and which texts end up on which side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from groundwork.seeds import item_random, item_seed
from sso.principles import contrast_prompt, load_principles
from sso.records import Principle, Query, Response
from sso.sampling import (
    SamplingRound,
    bad_pair,
    good_pair,
    policy_pair,
    sample_contrasts,
    sample_originals,
)
from sso.settings import SamplingSettings
from tests.sso.fake_engine import FakeEngine

BOOK = load_principles()
ROUND = SamplingRound(SamplingSettings(), iteration=1, seed=0)
QUERIES = [Query(id=f"q{i}", text=f"text {i}") for i in range(6)]


def principle(query: Query) -> Principle:
    return Principle(query_id=query.id, features=("Safety",), good="Be safe.", bad="Be rash.")


def sampled(
    queries: list[Query], engine: FakeEngine | None = None, this_round: SamplingRound = ROUND
) -> dict[str, tuple[str, str]]:
    found = sample_contrasts(
        engine or FakeEngine(),
        queries,
        [principle(q) for q in queries],
        BOOK,
        this_round,
    )
    return {c.query.id: (c.good.text, c.bad.text) for c in found}


def test_seeds_are_a_fixed_function_of_the_item() -> None:
    # The first 8 bytes of sha256("0\x1f1\x1fq0\x1fcontrast-good"), worked out with sha256sum.
    assert item_seed(0, 1, "q0", "contrast-good") == 0x308426C104356D40 >> 33
    seeds = {
        item_seed(s, t, q, r) for s in (0, 1) for t in (1, 2) for q in ("a", "b") for r in "xy"
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert item_seed(1, 11, "q", "r") != item_seed(11, 1, "q", "r")
    assert item_random(0, 1, "q", "r").random() == item_random(0, 1, "q", "r").random()


def test_samples_follow_the_query_not_its_place() -> None:
    everything = sampled(QUERIES)
    assert sampled(QUERIES[::-1]) == everything
    assert sampled(QUERIES[2:4]) == {k: everything[k] for k in ("q2", "q3")}
    for other_round in (
        replace(ROUND, seed=1), replace(ROUND, iteration=2), replace(ROUND, name="fresh"),
    ):  # fmt: skip
        other = sampled(QUERIES, this_round=other_round)
        assert not set(other.items()) & set(everything.items())


def test_prompts_and_decoding() -> None:
    engine = FakeEngine()
    sampled(QUERIES[:1], engine)
    (asked,) = engine.chats
    assert asked["prompts"] == [
        contrast_prompt(BOOK, "Be safe.", "text 0"),
        contrast_prompt(BOOK, "Be rash.", "text 0"),
    ]
    assert (asked["params"].temperature, asked["params"].top_p) == (0.7, 0.8)
    assert asked["seeds"] == [item_seed(0, 1, "q0", f"contrast-{r}") for r in ("good", "bad")]


@pytest.mark.parametrize(("greedy", "decoding"), [(True, (0.0, 1.0)), (False, (0.7, 0.8))])
def test_originals_are_greedy_or_sampled(greedy: bool, decoding: tuple[float, float]) -> None:
    engine = FakeEngine(lambda p, s, t: f"  yo of {p[0]['content']} \n", truncate=lambda t: True)
    prompts = {"q7": ({"role": "user", "content": "text 7"},)}
    settings = SamplingSettings(original_greedy=greedy)
    found = sample_originals(engine, prompts, SamplingRound(settings, iteration=1, seed=0))
    assert found == {"q7": Response(text="yo of text 7", tokens=5, truncated=True)}
    params = engine.chats[0]["params"]
    assert (params.temperature, params.top_p) == decoding


def test_which_side_each_pair_takes() -> None:
    engine = FakeEngine(lambda p, s, t: "plus" if "safe" in p[0]["content"] else "minus")
    (contrast,) = sample_contrasts(
        engine,
        QUERIES[:1],
        [principle(QUERIES[0])],
        BOOK,
        ROUND,
        originals={"q0": Response(text="original", tokens=2)},
    )

    def sides(pair):  # type: ignore[no-untyped-def]
        return pair.id, pair.kind, pair.prompt[0]["role"], pair.chosen, pair.rejected

    assert sides(policy_pair(contrast)) == ("q0/policy", "policy", "user", "plus", "minus")
    good = good_pair(contrast, BOOK)
    assert sides(good) == ("q0/generator-good", "generator-good", "system", "plus", "minus")
    assert "Be safe." in good.prompt[0]["content"]
    bad = bad_pair(contrast, BOOK, "original")
    assert sides(bad) == ("q0/generator-bad", "generator-bad", "system", "original", "plus")
    assert "Be rash." in bad.prompt[0]["content"]
    assert bad_pair(contrast, BOOK, "bad").chosen == "minus"
    bare = contrast.model_copy(update={"original": None})
    cut = contrast.model_copy(update={"good": contrast.good.model_copy(update={"truncated": True})})
    assert policy_pair(contrast).truncated == ()
    assert policy_pair(cut).truncated == ("chosen",)
    assert bad_pair(cut, BOOK, "original").truncated == ("rejected",)
    with pytest.raises(ValueError, match="'q0' has no original"):
        bad_pair(bare, BOOK, "original")
