"""The local chat server's answers: text, usage, the letters' log-probabilities, bad requests."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engines.base import Completion, ContinuationLogprob
from harness.engines.chat_server import MOST_TOKENS, answer

MESSAGES = [{"role": "user", "content": "m or M?"}]


class Engine:
    """Writes one text and finds "M" likelier; remembers how it was asked."""

    asked: Any = None

    def chat(self, prompts: Any, params: Any, *, seeds: Any) -> list[Completion]:
        self.asked = prompts, params, seeds
        return [Completion("M.", 7, 2, params.max_new_tokens < 2)]

    def logprobs(self, prompts: Any, continuations: Any) -> list[ContinuationLogprob]:
        assert prompts == [MESSAGES, MESSAGES]
        return [ContinuationLogprob({"m": -2.0, "M": -0.5}[c], 1, c == "M") for c in continuations]


def ask(body: dict[str, Any]) -> tuple[dict[str, Any], Engine]:
    engine = Engine()
    return answer(engine, "local-model", body), engine  # type: ignore[arg-type]


def test_a_reply_has_text_and_usage() -> None:
    reply, engine = ask({"messages": MESSAGES, "max_tokens": 9, "temperature": 0.3, "seed": 5})
    (choice,) = reply["choices"]
    assert choice["message"] == {"role": "assistant", "content": "M."}
    assert (choice["finish_reason"], choice["logprobs"]) == ("stop", None)
    assert reply["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    _, params, seeds = engine.asked
    assert (params.max_new_tokens, params.temperature, seeds) == (9, 0.3, [5])


def test_alternatives_are_the_letters_with_the_likelier_first() -> None:
    reply, _ = ask({"messages": MESSAGES, "logprobs": True, "top_logprobs": 5})
    (token,) = reply["choices"][0]["logprobs"]["content"]
    assert (token["token"], token["logprob"]) == ("M", -0.5)
    assert [top["token"] for top in token["top_logprobs"]] == ["M", "m"]


def test_the_token_limit_is_bounded_and_a_cut_reply_says_so() -> None:
    _, engine = ask({"messages": MESSAGES, "max_completion_tokens": 10**9})
    assert engine.asked[1].max_new_tokens == MOST_TOKENS
    reply, _ = ask({"messages": MESSAGES, "max_tokens": 1})
    assert reply["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": "hi"}])
def test_a_request_without_messages_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'messages' has to be a list of messages"):
        ask(body)
