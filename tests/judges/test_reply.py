"""The parts of a chat completion, and why a reply without a verdict has none."""

from __future__ import annotations

import pytest

from judges.protocols import rating
from judges.reply import read_reply
from tests.judges.faulty_server import completion


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (completion("I think it is good."), "unparsed"),
        (completion("I'm sorry, but I can't help with that."), "refused"),
        (completion(None, refusal="No."), "refused"),
        (completion("", finish="content_filter"), "filtered"),
        (completion("The answer begins", finish="length"), "truncated"),
        (completion("Sorry to say, but [[3]]"), "ok"),
    ],
)
def test_states(body: dict, state: str) -> None:
    assert rating.read(read_reply(body)).state == state
