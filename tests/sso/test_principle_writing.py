"""Principle writing: what a model wrote is read, checked, and replaced where it can't be used."""

from __future__ import annotations

import pytest

from groundwork.errors import UserError
from groundwork.seeds import item_seed
from sso.principle_writing import (
    direct_writing_prompt,
    make_principles,
    parse_guidelines,
    writing_prompt,
)
from sso.principles import load_principles
from sso.records import Query
from sso.sampling import SamplingRound
from sso.settings import PrincipleSettings, SamplingSettings
from tests.sso.fake_engine import FakeCompletion, FakeEngine

BOOK = load_principles()
GOOD, BAD = "Name the exact steps in order.", "Leave out most of the steps."


@pytest.mark.parametrize(
    "reply",
    [
        f"Good: {GOOD}\nBad: {BAD}",
        f"Good: {GOOD}\n\nBad: {BAD}\n\nRequest: Something else\nFeatures: more",
        f"**Good guideline:** {GOOD}\n\n**Bad guideline:** {BAD}",
        "### Good Principle\n".replace("\n", f": {GOOD}\n") + f"### Bad Principle: {BAD}",
        f'Sure, here they are!\n\n1. Good: "{GOOD}"\n2. Bad: "{BAD}"',
        f"good - {GOOD}\nbad - {BAD}",
        f"Good: {GOOD} Bad: {BAD}",
        f"Bad: {BAD}\nGood: {GOOD}",
        f"- Good response:\n  {GOOD}\n- Bad response:\n  {BAD}",
        f'{{"good": "{GOOD}", "bad": "{BAD}"}}',
        f'```json\n{{"Good_principle": "{GOOD}",\n "bad_principle": "{BAD}"}}\n```',
        f"Good: {GOOD}\nBad: {BAD}\nGood: A second version of it all.\nBad: No.",
    ],
)
def test_usable_replies(reply: str) -> None:
    found = parse_guidelines(reply)
    assert (found.good, found.bad, found.problem) == (GOOD, BAD, "")


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("", "missing"),
        ("Call a vet at once.", "missing"),
        (f"Good: {GOOD}", "missing"),
        (f"Good: {GOOD}\nBad:", "missing"),
        (f"Good-looking answers matter.\nBad: {BAD}", "missing"),
        (f"Good: {GOOD}\nBad: Be wrong.", "short"),
        (f"Good: {GOOD}\nBad: {'very ' * 200}bad.", "long"),
        ("Good: <guideline that helps a lot>\nBad: <guideline that does not>", "placeholder"),
        (f"Good: [insert the good guideline here]\nBad: {BAD}", "placeholder"),
        (f"Good: {GOOD}\nBad: Name the **exact** steps, in order!", "same"),
        ('{"good": ["a", "b"], "bad": "c d e f"}', "missing"),
    ],
)
def test_unusable_replies_say_why(reply: str, problem: str) -> None:
    assert parse_guidelines(reply).problem == problem


def test_a_cut_reply_keeps_its_whole_sentences() -> None:
    found = parse_guidelines(f"Good: {GOOD}\nBad: {BAD} And then go", truncated=True)
    assert (found.bad, found.problem) == (BAD, "")
    assert (
        parse_guidelines(f"Good: {GOOD}\nBad: Leave out the", truncated=True).problem == "missing"
    )


def test_the_writing_prompt_ends_with_the_query_and_its_features() -> None:
    prompt = writing_prompt(BOOK, "Sort a list.", ["Safety", "Concision"])
    last = prompt[-1]["content"]
    assert last.endswith("Request: Sort a list.")
    assert "Safety (Safe, not Unsafe:" in last
    assert "Concision (Concise, not Verbose:" in last
    assert prompt[:-1] == writing_prompt(BOOK, "Other.", ["Accuracy"])[:-1]


def queries(*texts: str) -> list[Query]:
    return [Query(id=f"id-{t}", text=t) for t in texts]


def test_generated_principles_fall_back_and_are_counted() -> None:
    copied = BOOK.writing.examples[0]
    replies = {
        "fine": f"Good: {GOOD}\nBad: {BAD}",
        "silent": "I can't do that.",
        "copy": f"Good: {copied.good}\nBad: {copied.bad}",
        "same": f"Good: {GOOD}\nBad: {GOOD}",
    }

    def reply(prompt, seed, temperature):  # type: ignore[no-untyped-def]
        return replies[prompt[-1]["content"].rpartition("Request: ")[2]]

    engine = FakeEngine(reply)
    settings = PrincipleSettings(source="generated", select="random", concision_probability=0)
    principles, made = make_principles(
        engine, queries(*replies), BOOK, settings, SamplingRound(SamplingSettings(), 2, 5)
    )
    first = principles[0]
    assert (first.good, first.bad, first.source, first.fallback) == (GOOD, BAD, "generated", False)
    for principle in principles[1:]:
        assert principle.fallback
        assert principle.source == "predefined"
        assert principle.good == BOOK.predefined(principle.features, "good")
    assert made.counts["principle_fallbacks"] == 3
    assert made.counts["principle_fallbacks_missing"] == 1
    assert made.counts["principle_fallbacks_copied"] == 1
    assert made.counts["principle_fallbacks_same"] == 1
    assert made.measures["principle_fallback_rate"] == 0.75
    assert "selection_fallback_rate" not in made.measures
    (asked,) = engine.chats
    assert asked["params"].temperature == 0.7
    assert asked["seeds"] == [item_seed(5, 2, q.id, "principle") for q in queries(*replies)]


def test_predefined_principles_ask_only_for_features() -> None:
    engine = FakeEngine(lambda p, s, t: "Safety" if "a" in p[-1]["content"][9:] else "hm")
    settings = PrincipleSettings(concision_probability=0)
    principles, made = make_principles(
        engine, queries("a", "b", "c", "d"), BOOK, settings, SamplingRound(SamplingSettings(), 1, 0)
    )
    assert len(engine.chats) == 1
    assert made.measures["selection_fallback_rate"] == 1.0
    assert made.counts["features_filled"] == 1 + 2 + 2 + 2
    assert made.tokens == 4 * 2
    assert not any(p.fallback for p in principles)


def test_more_features_than_the_file_has_are_refused() -> None:
    small = BOOK.model_copy(update={"features": BOOK.features[:2]})
    settings = PrincipleSettings(features_per_query=3)
    with pytest.raises(UserError, match=r"features_per_query is 3.*has 2 features"):
        make_principles(
            FakeEngine(), queries("a"), small, settings, SamplingRound(SamplingSettings(), 1, 0)
        )


def test_a_cut_writing_reply_is_seen_as_cut() -> None:
    class Cut(FakeEngine):
        def chat(self, prompts, params, **kwargs):  # type: ignore[no-untyped-def, override]
            return [FakeCompletion(f"Good: {GOOD}\nBad: Leave out", 9, True) for _ in prompts]

    settings = PrincipleSettings(source="generated", select="random")
    _, made = make_principles(
        Cut(), queries("a"), BOOK, settings, SamplingRound(SamplingSettings(), 1, 0)
    )
    assert made.counts["principle_fallbacks_missing"] == 1


def test_the_direct_prompt_shows_three_examples_bad_before_good_and_ends_with_the_query() -> None:
    prompt = direct_writing_prompt(BOOK, "Sort a list.")
    assert [turn["role"] for turn in prompt] == ["user", "assistant"] * 3 + ["user"]
    for turn in prompt[1::2]:
        assert turn["content"].startswith("Bad: ")
        assert "\nGood: " in turn["content"]
        assert parse_guidelines(turn["content"]).problem == ""
    assert prompt[-1]["content"] == "Request: Sort a list."
    assert not any(feature.name in turn["content"] for turn in prompt for feature in BOOK.features)


def test_principles_without_features_and_their_fall_back() -> None:
    engine = FakeEngine(
        lambda prompt, seed, temperature: prompt[-1]["content"].removeprefix("Request: ")
    )
    settings = PrincipleSettings(source="generated", select="none")
    texts = f"Bad: {BAD}\nGood: {GOOD}", "no guideline"
    asked = queries(*texts)
    found, result = make_principles(
        engine, asked, BOOK, settings, SamplingRound(SamplingSettings(), 1, 0)
    )
    assert (found[0].good, found[0].bad, found[0].features) == (GOOD, BAD, ())
    assert found[1].fallback
    assert found[1].good == BOOK.predefined(found[1].features, "good")
    assert len(engine.chats) == 1
    assert result.measures == {"principle_fallback_rate": 0.5}


def test_a_file_without_the_direct_prompt_is_an_error_that_names_it() -> None:
    older = BOOK.model_copy(update={"direct_writing": None})
    with pytest.raises(UserError, match="has no direct_writing"):
        direct_writing_prompt(older, "x")


def test_of_a_cut_reply_the_last_guideline_is_shortened() -> None:
    found = parse_guidelines(f"Bad: {BAD}\nGood: {GOOD} And then to", truncated=True)
    assert (found.good, found.bad) == (GOOD, BAD)
