"""Preference rows in the shapes that files have: the whole conversation is the prompt."""

from __future__ import annotations

from typing import Any

import pytest

from groundwork.conversations import read_preference, transcript
from groundwork.errors import UserError


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


SYSTEM, FIRST = turn("system", "be brief"), turn("user", "q1")
REPLY, SECOND = turn("assistant", "a1"), turn("user", "q2")
BEFORE = [SYSTEM, FIRST, REPLY, SECOND]
GOOD, BAD = turn("assistant", "good"), turn("assistant", "bad")


@pytest.mark.parametrize(
    "prompt",
    [{}, {"prompt": "q2"}, {"prompt": "q1"}, {"prompt": BEFORE}, {"prompt": BEFORE[1:]}],
)
def test_a_conversation_before_the_last_answer_is_the_prompt(prompt: dict[str, Any]) -> None:
    row = {**prompt, "chosen": [*BEFORE, GOOD], "rejected": [*BEFORE, BAD]}
    read = read_preference(row, "f:1")
    assert list(read.prompt) == BEFORE
    assert (read.chosen, read.rejected) == ("good", "bad")


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "q1", "chosen": "good", "rejected": "bad"}, [FIRST]),
        ({"instruction": "q1", "chosen": [GOOD], "rejected": [BAD]}, [FIRST]),
        ({"question": "q1", "chosen": GOOD, "rejected": BAD}, [FIRST]),
        ({"messages": [SYSTEM, FIRST], "chosen": "good", "rejected": "bad"}, [SYSTEM, FIRST]),
        ({"prompt": "q1", "chosen": [FIRST, GOOD], "rejected": "bad"}, [FIRST]),
        (
            {
                "conversations": [{"from": "human", "value": "q1"}],
                "chosen": {"from": "gpt", "value": "good"},
                "rejected": {"from": "gpt", "value": "bad"},
            },
            [FIRST],
        ),
    ],
)
def test_other_shapes(row: dict[str, Any], prompt: list[dict[str, str]]) -> None:
    read = read_preference(row, "f:1")
    assert (list(read.prompt), read.chosen, read.rejected) == (prompt, "good", "bad")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": "a", "rejected": "b"}, "field 'prompt' is missing"),
        ({"prompt": "q", "chosen": "a"}, "field 'rejected' is missing"),
        (
            {"prompt": "q9", "chosen": [*BEFORE, GOOD], "rejected": [*BEFORE, BAD]},
            "is not the conv",
        ),
        ({"chosen": [*BEFORE, GOOD], "rejected": [FIRST, BAD]}, "different conversations"),
        ({"chosen": [*BEFORE], "rejected": [*BEFORE, BAD]}, "last message is by 'user'"),
        ({"chosen": [FIRST, REPLY, GOOD], "rejected": [FIRST, REPLY, BAD]}, "by 'assistant'"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "a text or a list of messages"),
        ({"prompt": "  ", "chosen": "a", "rejected": "b"}, "prompt is empty"),
        ({"prompt": "q", "chosen": [{"role": "assistant"}], "rejected": "b"}, "needs the texts"),
    ],
)
def test_mistakes_name_their_place(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^f:1.*{message}"):
        read_preference(row, "f:1")


def test_a_transcript_keeps_a_single_question_as_it_is() -> None:
    assert transcript("q") == transcript([turn("user", "q")]) == "q"
    assert transcript(BEFORE) == "System: be brief\n\nUser: q1\n\nAssistant: a1\n\nUser: q2"
