"""The parts of a chat completion, and why a reply without a verdict has none."""

from __future__ import annotations

import pytest

from judges.protocols import rating, weighted_preference
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


HUGE = 10**400


@pytest.mark.parametrize(
    "content", [float("nan"), 7, {"text": "[[7]]"}, [{"text": 7}], [None], True]
)
def test_content_that_is_no_text_is_an_error_state_and_never_a_verdict(content: object) -> None:
    body = completion("")
    body["choices"][0]["message"]["content"] = content
    assert rating.read(read_reply(body)).state == "error"


def test_content_in_text_parts_is_read() -> None:
    body = completion("")
    body["choices"][0]["message"]["content"] = [{"type": "text", "text": "[[7"}, {"text": "]]"}]
    assert rating.read(read_reply(body)).value == 7.0


@pytest.mark.parametrize("count", [None, -5, float("nan"), float("inf"), HUGE, "100", True, [1]])
def test_token_counts_that_can_not_be_are_unknown_and_cost_nothing_made_up(count: object) -> None:
    body = completion("[[7]]")
    body["usage"]["prompt_tokens"] = count
    reply = read_reply(body)
    assert (reply.prompt_tokens, reply.usage_known) == (0, False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.5, "x", True, HUGE])
def test_log_probabilities_that_can_not_be_are_probability_zero(value: object) -> None:
    tops = [{"token": "m", "logprob": value}, {"token": "M", "logprob": -1.0}]
    body = completion("M", logprobs={"content": [{"top_logprobs": tops}]})
    assert weighted_preference.read(read_reply(body)).value == 2.0


@pytest.mark.parametrize(
    "logprobs", [7, [], {"content": 7}, {"content": [7]}, {"top_logprobs": [7]}]
)
def test_log_probabilities_of_another_shape_are_none(logprobs: object) -> None:
    reply = read_reply(completion("M", logprobs=logprobs))
    assert weighted_preference.read(reply).value is None


def test_our_own_field_in_a_servers_reply_is_not_believed() -> None:
    body = completion("no letter")
    body["choices"][0]["given_preference"] = 2.0
    assert weighted_preference.read(read_reply(body)).value is None
    assert weighted_preference.read(read_reply(body, imported=True)).value == 2.0


@pytest.mark.parametrize(
    ("text", "value", "state"),
    [
        ("<think>[[2]] would be too harsh.</think>\nRating: [[8]]", 8.0, "ok"),
        ("[[2]] would be too harsh.</think>\nRating: [[8]]", 8.0, "ok"),
        ("<think>[[2]] would be", None, "truncated"),
    ],
)
def test_a_verdict_is_read_after_the_reasoning(text: str, value: float | None, state: str) -> None:
    found = rating.read(read_reply(completion(text)))
    assert (found.value, found.state) == (value, state)


def test_an_error_body_with_status_200_gives_the_servers_reason() -> None:
    with pytest.raises(ValueError, match="the server says: overloaded"):
        read_reply({"error": {"message": "overloaded"}})
