"""AlpacaEval 2.0's weighted preference: the log-probabilities of two letters, one token long.

Protocol of ``weighted_alpaca_eval_gpt4_turbo`` (Dubois et al., arXiv 2404.04475, and the
alpaca_eval package): the prompt shows both outputs as models "m" and "M" in an order drawn from a
seed on the instruction; the preference is 2 - P(m) / (P(m) + P(M)) among the top five tokens.
"""

from __future__ import annotations

import math
import random
import re

from judges.prompts import alpaca_eval_template, fill_places
from judges.records import Comparison
from judges.reply import Reading, Reply, unread_state
from judges.request import JudgeRequest, text_digest
from judges.settings import Letters

FIRST, SECOND = "m", "M"
TOP = 5
SPACES = " \t\r\n\u2581\u0120\u010a"
"""Around a letter in a token; the last three are how tokenizers write a space and a line's end."""


def is_switched(instruction: str, seed: int = 0) -> bool:
    """Whether output_2 is shown first; the same draw as alpaca_eval makes with that seed."""
    return random.Random(f"is_switched_outputs{instruction}{seed}").choices([False, True], k=1)[0]


def protocol(letters: Letters, seed: int = 0) -> str:
    """Protocol id: prompt, reading and the seed of the order."""
    wording = "\n".join(message["content"] for message in alpaca_eval_template())
    reading = "parsed" if letters == "parsed" else "top5"
    order = "" if seed == 0 else f"/order{seed}"
    return f"alpaca-eval-2/{text_digest(wording)}/{reading}{order}"


def request(
    comparison: Comparison, *, seed: int = 0, letters: Letters = "logprobs"
) -> JudgeRequest:
    """The request for one comparison, outputs in the seeded order."""
    switched = is_switched(comparison.instruction, seed)
    outputs = (comparison.output_1, comparison.output_2)
    values = {
        "instruction": comparison.instruction,
        "output_1": outputs[switched],
        "output_2": outputs[not switched],
    }
    messages = [
        {"role": m["role"], "content": fill_places(m["content"], values).strip()}
        for m in alpaca_eval_template()
    ]
    params: dict[str, object] = {"temperature": 1, "top_p": 1.0, "max_tokens": 1}
    if letters == "parsed":
        params |= {"temperature": 0, "max_tokens": 8}
    else:
        params |= {"logprobs": True, "top_logprobs": TOP}
    tags = comparison.model_dump(exclude={"v"})
    return JudgeRequest(messages, params, protocol(letters, seed), tags=tags)


def read(reply: Reply, *, letters: Letters = "logprobs") -> Reading:
    """Preference 1..2 for the second shown output (not yet mapped back)."""
    if reply.given is not None:
        return Reading("ok", reply.given)
    value = letter_preference(reply) if letters == "logprobs" else parsed_preference(reply.text)
    if value is None:
        return Reading(unread_state(reply, length_matters=letters == "parsed"))
    return Reading("ok", value)


def letter_preference(reply: Reply) -> float | None:
    """2 - P(m) / (P(m) + P(M)) of the first token's alternatives; ``None`` where neither is.

    Spellings of one letter (" M", "M" twice) are summed.
    """
    if not reply.top_logprobs:
        return None
    weights = {FIRST: 0.0, SECOND: 0.0}
    alternatives = [(token.strip(SPACES), value) for token, value in reply.top_logprobs[0]]
    letters = [(letter, value) for letter, value in alternatives if letter in weights]
    top = max((value for _, value in letters), default=-math.inf)
    if top == -math.inf:
        return None
    for letter, value in letters:
        weights[letter] += math.exp(value - top)
    return 2 - weights[FIRST] / (weights[FIRST] + weights[SECOND])


def parsed_preference(text: str) -> float | None:
    """1 or 2 from a reply that is one of the letters, quotes and punctuation aside."""
    found = re.fullmatch(r"[\W_]*([mM])[\W_]*", text)
    if found is None:
        return None
    return 1.0 if found.group(1) == FIRST else 2.0
