"""Replies of servers that differ in the parameters they take, as today's do."""

from __future__ import annotations

from typing import Any

from tests.judges.faulty_server import completion, letter_reply

TAKEN_BY_STRICT = {"model", "messages", "max_tokens", "temperature"}


def refusal(message: str, status: int = 400) -> Any:
    return status, {}, {"error": {"message": message, "type": "invalid_request_error"}}


def verdict_text(body: dict[str, Any]) -> str:
    """The verdict that the prompt asks for: a letter, a rating or a side."""
    text = str(body["messages"])
    if "[[A]]" in text:
        return "[[A]]"
    if "[[" in text:
        return "Rating: [[7]]"
    return "M"


def old(body: dict[str, Any]) -> Any:
    """Log-probabilities, max_tokens, temperature."""
    if body.get("logprobs"):
        return letter_reply(body)
    return completion(verdict_text(body))


def reasoning(body: dict[str, Any]) -> Any:
    """``max_completion_tokens`` with room for the reasoning, no temperature, no log-probabilities."""
    if "max_tokens" in body:
        return refusal(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead."
        )
    if body.get("temperature", 1) != 1:
        return refusal(
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default "
            "(1) value is supported."
        )
    if body.get("logprobs"):
        return refusal("You are not allowed to request logprobs from this model", 403)
    if body["max_completion_tokens"] < 100:
        return refusal(
            "Could not finish the message because max_tokens or model output limit was reached. "
            "Please try again with higher max_tokens."
        )
    answer = completion(verdict_text(body))
    answer["usage"]["completion_tokens_details"] = {"reasoning_tokens": 64}
    return answer


def open_reasoning(body: dict[str, Any]) -> Any:
    """An open model that writes its reasoning into the text, and is cut at the limit."""
    if body["max_tokens"] < 100:
        return completion("<think>Hm, [[2]] or m", finish="length")
    return completion(f"<think>[[2]] would be too harsh, m too</think>\n\n{verdict_text(body)}")


def reasoning_apart(body: dict[str, Any]) -> Any:
    """As served by vLLM with a reasoning parser: the reasoning is a field of its own."""
    if body["max_tokens"] < 100:
        return completion(None, finish="length", reasoning_content="Hm, m or")
    return completion(verdict_text(body), reasoning_content="[[2]] would be too harsh")


def no_logprobs(body: dict[str, Any]) -> Any:
    return completion(verdict_text(body))


def three_logprobs(body: dict[str, Any]) -> Any:
    if body.get("top_logprobs", 0) > 3:
        return refusal("Invalid value for 'top_logprobs': must be less than or equal to 3.")
    return old(body)


def five_logprobs(body: dict[str, Any]) -> Any:
    if body.get("top_logprobs", 0) > 5:
        return refusal("Invalid value for 'top_logprobs': must be less than or equal to 5.")
    return old(body)


def strict(body: dict[str, Any]) -> Any:
    for name in body:
        if name not in TAKEN_BY_STRICT:
            return refusal(f"Unrecognized request argument supplied: {name}")
    return no_logprobs(body)


def refusing(body: dict[str, Any]) -> Any:
    return refusal("This request is not to our liking")


KINDS = {
    "old": old,
    "reasoning": reasoning,
    "open-reasoning": open_reasoning,
    "reasoning-apart": reasoning_apart,
    "no-logprobs": no_logprobs,
    "five-logprobs": five_logprobs,
    "three-logprobs": three_logprobs,
    "strict": strict,
}
