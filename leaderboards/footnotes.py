"""Why a figure can't be compared: reason codes in words, and foot-notes for a table."""

from __future__ import annotations

from string import ascii_lowercase

REASONS: dict[str, str] = {
    "sample-data": "items written for this project, not the published benchmark",
    "item-limit": "a sample of the items, not the whole benchmark",
    "local-judge": "judged by the starting policy itself, not by the published judge",
    "reduced-protocol": "shorter answers or fewer shots than the published protocol",
    "other-judge": "another judge than the published one",
    "reconstruction": "a reconstruction of the published protocol",
}


def reason(code: str) -> str:
    """A reason code in words; an unknown code is shown as it is."""
    return REASONS.get(code, code)


class Footnotes:
    """Collects foot-note texts and gives each distinct text one key: a, b, c, ... aa, ab."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def key(self, text: str) -> str:
        """The key of ``text``, a new one at its first use."""
        if text not in self._keys:
            self._keys[text] = _letters(len(self._keys))
        return self._keys[text]

    def listing(self) -> tuple[tuple[str, str], ...]:
        """(key, text) in order of first use."""
        return tuple((key, text) for text, key in self._keys.items())


def _letters(number: int) -> str:
    high, low = divmod(number, 26)
    return (ascii_lowercase[high - 1] if high else "") + ascii_lowercase[low]
