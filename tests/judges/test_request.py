"""The key of a request: what it depends on, and what it does not."""

from __future__ import annotations

from dataclasses import replace

from judges.request import JudgeRequest, text_digest

CHAT = [{"role": "user", "content": "Which is better, é or e?"}]


def test_the_key_stands_for_everything_that_is_sent_and_for_the_protocol() -> None:
    asked = JudgeRequest(CHAT, {"temperature": 0, "max_tokens": 8}, "p/1")
    others = [
        replace(asked, messages=[{"role": "user", "content": "?"}]),
        replace(asked, params={"temperature": 1, "max_tokens": 8}),
        replace(asked, protocol="p/2"),
        replace(asked, attempt=1),
    ]
    keys = {request.key("judge") for request in (asked, *others)} | {asked.key("other")}
    assert len(keys) == 6


def test_the_key_does_not_depend_on_tags_or_the_order_of_parameters() -> None:
    asked = JudgeRequest(CHAT, {"temperature": 0, "max_tokens": 8}, "p/1")
    same = JudgeRequest(CHAT, {"max_tokens": 8, "temperature": 0}, "p/1", tags={"item_id": "7"})
    assert asked.key("judge") == same.key("judge")


def test_published_keys_stay() -> None:
    """Stores of earlier versions are read under the same keys."""
    asked = JudgeRequest(CHAT, {"temperature": 0, "max_tokens": 8}, "p/1")
    assert asked.key("judge")[:16] == "5f77d1c48d264021"
    assert text_digest("wording") == "a47eb654"


def test_a_lone_surrogate_has_a_key_and_a_length() -> None:
    asked = JudgeRequest([{"role": "user", "content": "a\ud800"}], {}, "p")
    assert len(asked.key("judge")) == 64
    assert asked.characters() == 2
