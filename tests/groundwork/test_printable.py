"""Text from elsewhere never moves a cursor, sets a colour or breaks an encoding."""

from __future__ import annotations

import io

import pytest

from groundwork.printable import PrintableStream, one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢\n\ttext", "plain é 漢\n\ttext"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", "ab"),
        ("\x9b31mC1\x9b0m", "C1"),
        ("over\rwritten\x08\x00", "overwritten"),
        ("\u202eright to left", "right to left"),
        ("half \ud800 of one", "half \ufffd of one"),
        ("open \x1b", "open "),
        ("open \x1b[", "open "),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_one_line_is_bounded() -> None:
    assert one_line("a\n b\x1b[1m\tc", 4) == "a b "
    assert len(one_line("x" * 10**7)) == 500


def test_stream_passes_only_what_is_printable() -> None:
    raw = io.StringIO()
    stream = PrintableStream(raw, bars=True)
    assert stream.write("\r50%\x1b[K\ud800") == 8
    stream.flush()
    assert raw.getvalue() == "\r50%\ufffd"
    assert PrintableStream(raw).write("a\rb") == 3
    assert raw.getvalue().endswith("ab")
