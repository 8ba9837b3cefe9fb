"""Feature selection: messy replies, the random fill, seeds that follow the query."""

from __future__ import annotations

import math

import pytest

from sso.principle_features import (
    MAX_QUERY_CHARS,
    parse_features,
    select_features,
    selection_prompt,
)
from sso.principles import load_principles
from sso.records import Query
from sso.sampling import SamplingRound
from sso.settings import PrincipleSettings, SamplingSettings
from tests.sso.fake_engine import FakeEngine

BOOK = load_principles()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Safety, Accuracy", ["Safety", "Accuracy"]),
        ("accuracy, safety", ["Accuracy", "Safety"]),
        ("1. **Logicality**\n2. *Engagement*\n3. Safety", ["Logicality", "Engagement"]),
        ("Features: Helpfulness and Literariness.", ["Helpfulness", "Literariness"]),
        ("Helpfullness, Comprehensivness", ["Helpfulness", "Comprehensiveness"]),
        ("Safe, Literary", ["Safety", "Literariness"]),
        ("Logical and engaging", ["Logicality", "Engagement"]),
        ("- Accurate\n- Helpful!", ["Accuracy", "Helpfulness"]),
        ("ACCURACY (facts must be right)", ["Accuracy"]),
        ("Accuracy, Accuracy, Accuracy", ["Accuracy"]),
        ('{"features": ["Engagement", "Safety"]}', ["Engagement", "Safety"]),
        ("I'd be happy to help! A helpful answer would be safe.", []),
        ("The dog should see a vet at once.", []),
        ("Inaccuracy", ["Accuracy"]),
        ("Concision, Brevity", []),
        ("", []),
    ],
)
def test_replies_are_read_as_a_person_would(reply: str, expected: list[str]) -> None:
    assert parse_features(reply, BOOK.features, 2) == expected


def test_prompts_share_everything_before_the_query() -> None:
    first, second = (selection_prompt(BOOK, q, 2) for q in ("What is love?", "Sort a list."))
    assert first[:-1] == second[:-1]
    assert first[-1]["content"] == "Request: What is love?"
    assert all(f.name in first[0]["content"] for f in BOOK.features)
    assert [m["role"] for m in first] == ["user", "assistant"] * 4 + ["user"]
    long = selection_prompt(BOOK, "x" * (MAX_QUERY_CHARS + 1), 2)[-1]["content"]
    assert len(long) == len("Request: ") + MAX_QUERY_CHARS + len(" ...")


def a_round(seed: int = 0, iteration: int = 1) -> SamplingRound:
    return SamplingRound(SamplingSettings(), iteration, seed)


def queries(n: int) -> list[Query]:
    return [Query(id=f"q{i}", text=f"text {i}") for i in range(n)]


def test_what_the_model_names_is_kept_and_the_rest_is_filled() -> None:
    replies = {"text 0": "Engagement, Safety", "text 1": "Accuracy only", "text 2": "Certainly!"}

    def reply(prompt, seed, temperature):  # type: ignore[no-untyped-def]
        assert temperature == 0
        return replies[prompt[-1]["content"].removeprefix("Request: ")]

    settings = PrincipleSettings(concision_probability=0)
    chosen, tokens = select_features(FakeEngine(reply), queries(3), BOOK, settings, a_round())
    assert chosen[0].names == ("Engagement", "Safety")
    assert chosen[1].names[0] == "Accuracy"
    assert [c.filled for c in chosen] == [0, 1, 2]
    assert all(len(set(c.names)) == 2 for c in chosen)
    assert tokens == 3 + 3 + 2


def test_concision_joins_with_its_probability() -> None:
    settings = PrincipleSettings(select="random", concision_probability=0.2)
    chosen, tokens = select_features(None, queries(2000), BOOK, settings, a_round(seed=3))
    assert tokens == 0
    added = sum(c.concision for c in chosen)
    spread = math.sqrt(2000 * 0.2 * 0.8)
    assert abs(added - 400) < 4 * spread
    assert all((c.names[-1] == "Concision") == c.concision for c in chosen)
    counts = [sum(f.name in c.names for c in chosen) for f in BOOK.features]
    expected = 2000 * 2 / 7
    assert all(abs(n - expected) < 4 * math.sqrt(expected) for n in counts)


def test_draws_follow_the_query_not_its_place() -> None:
    settings = PrincipleSettings(select="random", concision_probability=0.5)

    def drawn(some: list[Query], seed: int = 0, iteration: int = 1) -> dict[str, tuple[str, ...]]:
        chosen, _ = select_features(None, some, BOOK, settings, a_round(seed, iteration))
        return {q.id: c.names for q, c in zip(some, chosen, strict=True)}

    everything = drawn(queries(40))
    assert drawn(queries(40)[::-1]) == everything
    assert drawn(queries(40)[7:9]) == {k: everything[k] for k in ("q7", "q8")}
    assert drawn(queries(40), seed=1) != everything
    assert drawn(queries(40), iteration=2) != everything
