"""Text from elsewhere as it may be shown: no control characters, no escape sequences, no halves of
characters. A terminal obeys what it is sent; a model, a judge or a file must not write to it."""

from __future__ import annotations

import re
from typing import IO, Any

_SEQUENCE = re.compile(
    r"\x1b\][^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?"  # operating system commands (titles, links)
    r"|[\x1b\x9b]\[?[0-?]{0,64}[ -/]{0,8}[@-~]?"  # colours, cursor, clearing
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_HALF = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with tabs and line ends as its only controls: escape sequences and other control
    characters (writing direction too) go, lone surrogates become U+FFFD."""
    return whole_characters(_CONTROL.sub("", _SEQUENCE.sub("", text)))


def one_line(text: str, most: int = 500) -> str:
    """Printable text in one line of at most ``most`` characters."""
    return " ".join(printable(text[: 4 * most]).split())[:most]


def whole_characters(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no encoding holds."""
    return _HALF.sub("\ufffd", text)


class PrintableStream:
    """A text stream that passes only printable text on; ``raw`` is the stream behind it.

    ``bars``: carriage returns pass too, for the progress bars of libraries.
    """

    def __init__(self, raw: IO[str], *, bars: bool = False) -> None:
        self.raw = raw
        self.bars = bars

    def write(self, text: str) -> int:
        """Write what is printable of a text; returns the text's own length."""
        parts = text.split("\r") if self.bars else [text]
        self.raw.write("\r".join(map(printable, parts)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)
