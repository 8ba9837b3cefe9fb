"""What is not trained on: contrasts that show no contrast or give the game away, by counted reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from groundwork.errors import UserError
from groundwork.records import Record
from groundwork.stored import chosen
from sso.principles import PrincipleBook
from sso.records import Contrast, Principle, Response

Reason = Literal[
    "no_room",
    "empty",
    "identical",
    "equals_original",
    "truncated",
    "leaks_role",
    "leaks_guidelines",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""In the order in which they are looked for; a contrast counts under the first that fits.

``no_room`` is found before sampling: a prompt that fills the engine's context.
"""

QUOTE_CHARS = 40
"""A response that repeats a guideline sentence at least this long is taken to quote it."""

_GENERIC_ROLES = ("good", "bad", "better", "worse", "poor", "chosen", "rejected", "original")


class Dropped(Record):
    """A contrast or pair left out: which, why, and which response (or both) gave the reason."""

    query_id: str
    reason: Reason
    role: str = ""


class LeakDetector:
    """Finds responses that name their role ("Helpful response:") or talk about the guidelines."""

    def __init__(self, book: PrincipleBook) -> None:
        features = (*book.features, book.concision)
        labels = {f.positive for f in features} | {f.negative for f in features}
        names = "|".join(sorted(map(re.escape, {*labels, *_GENERIC_ROLES}), key=len, reverse=True))
        self._role = re.compile(
            rf"^[\s>*#_(\[\"]*(?:an?\s+|the\s+|my\s+)?({names})\s+"
            r"(?:response|answer|reply|version|output)[\s*_)\]\"]*(?::|$)",
            re.IGNORECASE | re.MULTILINE,
        )
        self._words = [(_word(w), _own_instructions(w)) for w in book.leak_words]
        self._words += [(_word(p), _word(p)) for p in book.leak_phrases]
        spelled = (*book.leak_words, *book.leak_phrases)
        self._any_word = re.compile("|".join(map(re.escape, spelled)) or "(?!)", re.IGNORECASE)

    def leaks_role(self, text: str, query: str) -> bool:
        """A line that labels the response with an adjective of a feature, or as good or bad.

        A query that uses the adjective itself ("a concise version of ...") may get such a label.
        """
        own_words = query.casefold()
        return any(label[1].casefold() not in own_words for label in self._role.finditer(text))

    def leaks_guidelines(self, text: str, query: str, principle: Principle) -> bool:
        """Talk of the response's own instructions, in words that the query does not use, or a
        guideline sentence repeated."""
        if self._any_word.search(text):  # most texts have none: the patterns need not look
            for word, leak in self._words:
                if leak.search(text) and not word.search(query):
                    return True
        plain = _squeeze(text).casefold()
        return any(sentence in plain for sentence in _sentences(principle))


def _word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)", re.IGNORECASE)


def _own_instructions(word: str) -> re.Pattern[str]:
    """Sentences that speak of ``word`` as what the response itself obeys.

    "Follow these guidelines to stay safe" is advice and no leak; "according to the guidelines", "the
    guidelines tell me", "this answer keeps to the guidelines", "guidelines you gave me" are.
    """
    the = r"(?:the|these|those|my|your|our)\s+(?:given\s+|provided\s+|above\s+)?"
    named = rf"{re.escape(word)}(?!\w)"
    within = r"[^.?!\n]{0,60}\b"
    says = r"(?:say|state|tell|ask|require|instruct|forbid|allow|want|demand|prohibit)s?\b"
    cases = (
        rf"\b(?:as\s+per|per|according\s+to|in\s+(?:line|accordance|keeping)\s+with)\s+{the}{named}(?!\s+(?:of|by|from|for|set)\b)",
        rf"\b{the}{named}\s+{says}",
        rf"\b{named}\s+(?:that\s+)?(?:you(?:'ve|\s+have)?\s+(?:gave|given|provided|set|mentioned)|(?:provided|given)\s+(?:to\s+me|by\s+you|above)|I\s+(?:was|am|have\s+been)\s+(?:given|told|asked)\b)",
        rf"\bI\b{within}(?:follow\w*|adher\w+|compl\w+|told|instructed|bound|keep\w*)\b[^.?!\n]{{0,30}}\b{the}{named}",
        rf"\b(?:response|answer|reply)\s+(?:that\s+)?(?:\w+\s+)?(?:follow|adher|compl|keep|meet|violat|ignor|reflect)\w*\b{within}{named}",
        rf"\A\W*(?:(?:following|based\s+on|given|considering)\s+{the})?{named}\s*[:,]",
    )
    return re.compile("|".join(cases), re.IGNORECASE)


def _sentences(principle: Principle) -> list[str]:
    sentences = re.split(r"(?<=[.!?])\s+|\n", f"{principle.good}\n{principle.bad}")
    plain = (_squeeze(s.strip(" -")).casefold() for s in sentences)
    return [s for s in plain if len(s) >= QUOTE_CHARS]


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def drop_reason(
    contrast: Contrast, leaks: LeakDetector, *, keep_truncated: bool
) -> tuple[Reason, str] | None:
    """Why a contrast is dropped and by which response, or None when it is kept.

    Texts are equal when they differ in white space at most. yo is looked at where the contrast has
    one; it needs to be non-empty and, unless ``keep_truncated``, whole.
    """
    roles = {"good": contrast.good, "bad": contrast.bad, "original": contrast.original}
    responses: dict[str, Response] = {k: r for k, r in roles.items() if r is not None}
    for role, response in responses.items():
        if not response.text.strip():
            return "empty", role
    texts = {role: _squeeze(response.text) for role, response in responses.items()}
    if texts["good"] == texts["bad"]:
        return "identical", "good"
    for role in ("good", "bad"):
        if texts[role] == texts.get("original"):
            return "equals_original", role
    if not keep_truncated:
        for role, response in responses.items():
            if response.truncated:
                return "truncated", role
    for role in ("good", "bad"):
        if leaks.leaks_role(responses[role].text, contrast.query.text):
            return "leaks_role", role
        if leaks.leaks_guidelines(responses[role].text, contrast.query.text, contrast.principle):
            return "leaks_guidelines", role
    return None


def filter_contrasts(
    contrasts: Sequence[Contrast],
    leaks: LeakDetector,
    *,
    keep_truncated: bool,
    already: Sequence[Dropped] = (),
) -> tuple[Sequence[Contrast], list[Dropped]]:
    """The contrasts to train on, and a record of each one that is not, after those ``already`` dropped.

    Raises:
        UserError: none is left; the message holds the counts by reason.
    """
    places: list[int] = []
    dropped: list[Dropped] = [*already]
    for place, contrast in enumerate(contrasts):
        found = drop_reason(contrast, leaks, keep_truncated=keep_truncated)
        if found is None:
            places.append(place)
        else:
            dropped.append(Dropped(query_id=contrast.query.id, reason=found[0], role=found[1]))
    require_some(places, dropped)
    return chosen(contrasts, places), dropped


def require_some(kept: Sequence[object], dropped: Sequence[Dropped]) -> None:
    """Stop, with the counts by reason and what may help, when filtering left nothing."""
    if kept:
        return
    counts = Counter(d.reason for d in dropped)
    listed = (
        ", ".join(f"{count} {reason}" for reason, count in counts.most_common()) or "none given"
    )
    advice = {
        "no_room": "shorten the queries or use a model with a longer context",
        "truncated": "raise sampling.max_new_tokens or set sampling.keep_truncated=true",
        "identical": "raise sampling.temperature",
        "equals_original": "raise sampling.temperature",
    }.get(counts.most_common(1)[0][0] if counts else "", "give more queries or other principles")
    raise UserError(f"nothing left to train on: all {len(dropped)} dropped ({listed}); {advice}")


def drop_counts(dropped: Iterable[Dropped]) -> dict[str, int]:
    """``dropped_REASON`` for every reason, zeros included."""
    counts = Counter(d.reason for d in dropped)
    return {f"dropped_{reason}": counts[reason] for reason in REASONS}
