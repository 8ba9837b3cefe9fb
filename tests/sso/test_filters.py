"""Filters: a table of what is dropped and why, and what must not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from sso.filters import REASONS, LeakDetector, drop_counts, drop_reason, filter_contrasts
from sso.preferences import read_preferences
from sso.principles import load_principles
from sso.records import Contrast, Principle, Query, Response

BOOK = load_principles()
LEAKS = LeakDetector(BOOK)
GUIDELINE = "Point at the dangers of the ladder before anything else."


def contrast(
    good: str = "Hold the ladder.",
    bad: str = "Just climb.",
    original: str | None = "Climb with care.",
    query: str = "How do I climb a ladder?",
    cut: str = "",
    item: str = "q",
) -> Contrast:
    return Contrast(
        query=Query(id=item, text=query),
        principle=Principle(query_id=item, features=("Safety",), good=GUIDELINE, bad="- Be rash."),
        good=Response(text=good, tokens=3, truncated=cut == "good"),
        bad=Response(text=bad, tokens=3, truncated=cut == "bad"),
        original=None
        if original is None
        else Response(text=original, tokens=3, truncated=cut == "original"),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (contrast(), None),
        (contrast(original=None), None),
        (contrast(good=""), ("empty", "good")),
        (contrast(bad=" \n"), ("empty", "bad")),
        (contrast(original=""), ("empty", "original")),
        (contrast(bad="Hold  the\nladder. "), ("identical", "good")),
        (contrast(original="Hold the ladder."), ("equals_original", "good")),
        (contrast(original="Just climb."), ("equals_original", "bad")),
        (contrast(bad="hold the ladder."), None),
        (contrast(cut="good"), ("truncated", "good")),
        (contrast(cut="bad"), ("truncated", "bad")),
        (contrast(cut="original"), ("truncated", "original")),
        (contrast(good="", bad="", cut="good"), ("empty", "good")),
        (contrast(good="Safe response: Hold it."), ("leaks_role", "good")),
        (contrast(bad="Sure!\n\n**Unhelpful Answer:** Climb."), ("leaks_role", "bad")),
        (contrast(bad="A bad answer: climb."), ("leaks_role", "bad")),
        (contrast(bad="### Inaccurate response\nClimb."), ("leaks_role", "bad")),
        (contrast(good="(Helpful reply): Hold it."), ("leaks_role", "good")),
        (contrast(good="A good response to fear is calm."), None),
        (contrast(good="The safe answer is: hold it."), None),
        (contrast(good="Verbose version: hold, hold, hold."), ("leaks_role", "good")),
        (contrast(good="Concise version: hold.", query="Give me a concise version."), None),
        (contrast(good="As the guidelines say, hold it."), ("leaks_guidelines", "good")),
        (contrast(bad="My system prompt tells me to be rash."), ("leaks_guidelines", "bad")),
        (contrast(good="According to the given guidelines, no."), ("leaks_guidelines", "good")),
        (contrast(bad="This answer follows all of the guidelines."), ("leaks_guidelines", "bad")),
        (contrast(bad="I was told to keep to these guidelines."), ("leaks_guidelines", "bad")),
        (contrast(bad="By the guidelines you gave me: climb."), ("leaks_guidelines", "bad")),
        (contrast(bad="Following these guidelines: climb."), ("leaks_guidelines", "bad")),
        (contrast(bad="Guidelines:\n- climb"), ("leaks_guidelines", "bad")),
        (contrast(good="Follow these guidelines to stay safe: hold it."), None),
        (contrast(good="By following these guidelines, you can climb."), None),
        (contrast(good="According to the guidelines of the WHO, hold it."), None),
        (contrast(good="Safety guidelines for ladders exist."), None),
        (contrast(good="As the guidelines say.", query="Sum up the WHO guidelines"), None),
        (contrast(good=f"Well: {GUIDELINE.lower()}"), ("leaks_guidelines", "good")),
        (contrast(bad="Be rash."), None),
    ],
)
def test_table_of_cases(given: Contrast, expected: tuple[str, str] | None) -> None:
    assert drop_reason(given, LEAKS, keep_truncated=False) == expected


def test_truncated_responses_are_kept_when_asked() -> None:
    for role in ("good", "bad", "original"):
        assert drop_reason(contrast(cut=role), LEAKS, keep_truncated=True) is None
    leaking = contrast(good="As the guidelines say.", cut="good")
    assert drop_reason(leaking, LEAKS, keep_truncated=True) == ("leaks_guidelines", "good")


def test_leak_words_come_from_the_file() -> None:
    other = LeakDetector(BOOK.model_copy(update={"leak_words": ("house rules",)}))
    talk = contrast(good="Our House Rules forbid that.")
    assert drop_reason(talk, other, keep_truncated=False) == ("leaks_guidelines", "good")
    assert drop_reason(contrast(good="The guidelines forbid."), other, keep_truncated=False) is None


def test_each_contrast_counts_once_under_its_first_reason() -> None:
    given = [
        contrast(item="a"),
        contrast(item="b", bad="", cut="good"),
        contrast(item="c", cut="bad"),
        contrast(item="d", bad="Dull answer: climb.", cut="bad"),
    ]
    kept, dropped = filter_contrasts(given, LEAKS, keep_truncated=False)
    assert [c.query.id for c in kept] == ["a"]
    assert [(d.query_id, d.reason) for d in dropped] == [
        ("b", "empty"),
        ("c", "truncated"),
        ("d", "truncated"),
    ]
    counts = drop_counts(dropped)
    assert set(counts) == {f"dropped_{reason}" for reason in REASONS}
    assert (counts["dropped_empty"], counts["dropped_truncated"]) == (1, 2)
    assert sum(counts.values()) == 3


def test_ordinary_answers_are_not_taken_for_leaks(data_dir: Path) -> None:
    # Nobody who wrote UltraFeedback's answers was given guidelines.
    pairs, _, _ = read_preferences(data_dir / "preference" / "ultrafeedback_binarized_1000.jsonl")
    bare = Principle(query_id="", features=(), good="", bad="")
    hits = 0
    for pair in pairs:
        query = pair.prompt[-1]["content"]
        for text in (pair.chosen, pair.rejected):
            hits += LEAKS.leaks_role(text, query) or LEAKS.leaks_guidelines(text, query, bare)
    assert hits / (2 * len(pairs)) < 0.003


def test_nothing_left_names_the_counts() -> None:
    given = [contrast(item=str(i), cut="good") for i in range(3)] + [contrast(bad="")]
    with pytest.raises(UserError, match=r"all 4 dropped \(3 truncated, 1 empty\); raise sampling"):
        filter_contrasts(given, LEAKS, keep_truncated=False)
