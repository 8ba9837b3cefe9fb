"""The paper's pair accuracy: AlpacaEval's prompt in both orders, one token per call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from judges import Comparison, pair_accuracy
from judges.protocols import one_letter, weighted_preference
from judges.reply import read_reply
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_examples import judge_on

PAIR = Comparison(item_id="1", instruction="ask", output_1="good text", output_2="bad text")


def letters(m: float, big: float, text: str = "m") -> dict[str, Any]:
    """A reply of one token with the log-probabilities of both letters."""
    top = [{"token": "m", "logprob": m}, {"token": "M", "logprob": big}]
    content = [{"token": text, "logprob": max(m, big), "top_logprobs": top}]
    return {
        "model": "judge-1",
        "choices": [
            {
                "message": {"content": text},
                "finish_reason": "length",
                "logprobs": {"content": content},
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
    }


def test_both_orders_of_alpaca_evals_prompt_and_one_token() -> None:
    given, swapped = one_letter.requests(PAIR, "logprobs")
    assert given.params["max_tokens"] == swapped.params["max_tokens"] == 1
    texts = [r.messages[-1]["content"] for r in (given, swapped)]
    assert [t.index("good text") < t.index("bad text") for t in texts] == [True, False]
    usual = weighted_preference.request(PAIR)
    assert usual.messages in (given.messages, swapped.messages)
    assert given.protocol.startswith("one-letter/")


@pytest.mark.parametrize(
    ("m", "big", "value"), [(-0.1, -2.0, 1.0), (-2.0, -0.1, 2.0), (-1.0, -1.0, 1.5)]
)
def test_the_likelier_letter_counts(m: float, big: float, value: float) -> None:
    assert one_letter.read(read_reply(letters(m, big)), "logprobs").value == value


def test_a_written_letter_where_there_are_no_log_probabilities() -> None:
    body = {"choices": [{"message": {"content": "M"}, "finish_reason": "stop"}]}
    assert one_letter.read(read_reply(body), "parsed").value == 2.0
    body["choices"][0]["message"]["content"] = "Both"  # type: ignore[index]
    assert one_letter.read(read_reply(body), "parsed").state == "unparsed"


def test_pair_accuracy_through_a_server(tmp_path: Path) -> None:
    asked: list[int] = []

    def prefers_good(body: dict[str, Any]) -> Any:
        asked.append(body["max_tokens"])
        text = body["messages"][-1]["content"]
        first = text.index("good text") < text.index("bad text")
        return letters(-0.1, -3.0) if first else letters(-3.0, -0.1, "M")

    with FaultyServer(prefers_good) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        found = pair_accuracy(judge, [PAIR], [1], "one-letter")
        assert (found.accuracy, found.flips) == (1.0, 0)
        assert found.protocol.startswith("one-letter/")
        assert asked == [1, 1]
