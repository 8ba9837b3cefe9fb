"""Which of two answers is better, by AlpacaEval's one-letter prompt in both orders (the paper's pair accuracy).

Source: arXiv 2410.17131, second version: 200 training queries, the judge answers m or M, one token per call.
The side is the letter that is more likely among the top tokens, or the written one where there are none.
"""

from __future__ import annotations

from judges.prompts import alpaca_eval_template, fill_places
from judges.protocols.weighted_preference import TOP, letter_preference, parsed_preference
from judges.records import Comparison
from judges.reply import Reading, Reply, unread_state
from judges.request import JudgeRequest, text_digest
from judges.settings import Letters


def protocol(letters: Letters) -> str:
    """Protocol id: prompt and reading."""
    wording = "\n".join(message["content"] for message in alpaca_eval_template())
    return f"one-letter/{text_digest(wording)}/{'parsed' if letters == 'parsed' else 'top5'}"


def requests(comparison: Comparison, letters: Letters) -> tuple[JudgeRequest, JudgeRequest]:
    """The two requests: outputs as given, and swapped."""
    return _request(comparison, letters, False), _request(comparison, letters, True)


def _request(comparison: Comparison, letters: Letters, swapped: bool) -> JudgeRequest:
    outputs = (comparison.output_1, comparison.output_2)
    values = {
        "instruction": comparison.instruction,
        "output_1": outputs[swapped],
        "output_2": outputs[not swapped],
    }
    messages = [
        {"role": m["role"], "content": fill_places(m["content"], values).strip()}
        for m in alpaca_eval_template()
    ]
    params: dict[str, object] = {"temperature": 0, "max_tokens": 1}
    if letters != "parsed":
        params |= {"logprobs": True, "top_logprobs": TOP}
    tags = {**comparison.model_dump(exclude={"v"}), "swapped": swapped}
    return JudgeRequest(messages, params, protocol(letters), tags=tags)


def read(reply: Reply, letters: Letters) -> Reading:
    """1 for the first shown, 2 for the second, 1.5 where both letters are equally likely."""
    found = parsed_preference(reply.text) if letters == "parsed" else letter_preference(reply)
    if found is None:
        return Reading(unread_state(reply, length_matters=False))
    return Reading("ok", 1.5 if found == 1.5 else 1.0 if found < 1.5 else 2.0)
