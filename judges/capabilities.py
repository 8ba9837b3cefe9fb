"""What a judge's server accepts, found by asking once and kept in the store.

Servers differ: reasoning models want ``max_completion_tokens`` and no temperature, others refuse
log-probabilities or any parameter that they don't have. No list of model names is kept here: a
probe is sent, the server's refusals are read, and what is left out is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from judges.errors import JudgeError
from judges.reply import Reply
from judges.request import JudgeRequest

REASONING_TOKENS = 8192
"""Added to a protocol's token limit for a judge that reasons before it answers."""
MOST_STEPS = 8
LIMIT = re.compile(
    r"(?:<=|at most|less than or equal to|maximum (?:of|is|value (?:of|is))|between \d+ and|up to)"
    r"\D{0,12}(\d+)",
    re.IGNORECASE,
)
CUT = re.compile(r"could not finish the message|output limit was reached", re.IGNORECASE)


@dataclass(frozen=True)
class Capabilities:
    """How requests are changed for a server.

    Attributes:
        limit_name: the parameter that limits the reply's tokens.
        temperature, top_p: whether the server takes them.
        top_logprobs: the most alternatives per token that it gives (0: no log-probabilities).
        reasoning: whether the model reasons first, which needs room.
    """

    limit_name: str = "max_tokens"
    temperature: bool = True
    top_p: bool = True
    top_logprobs: int = 5
    reasoning: bool = False

    def adapt(self, request: JudgeRequest) -> JudgeRequest:
        """The request as this server takes it; its protocol id names each change that can move a
        verdict."""
        params = self._params(request.params)
        if params == dict(request.params):
            return request
        return replace(request, params=params, protocol=self._protocol(request))

    def changes(self) -> list[str]:
        """One line per change, for people."""
        lines = []
        if self.limit_name != "max_tokens":
            lines.append(f"{self.limit_name} in place of max_tokens")
        if not self.temperature:
            lines.append("no temperature (the server's default)")
        if not self.top_p:
            lines.append("no top_p")
        if self.top_logprobs == 0:
            lines.append("no log-probabilities: letters are read from the text")
        elif self.top_logprobs < 5:
            lines.append(f"log-probabilities of the top {self.top_logprobs} only")
        if self.reasoning:
            lines.append(f"{REASONING_TOKENS} more tokens for the judge's reasoning")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The record in the store."""
        return asdict(self)

    def _params(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        params = dict(asked)
        if "max_tokens" in params:
            limit = params.pop("max_tokens")
            params[self.limit_name] = limit + (REASONING_TOKENS if self.reasoning else 0)
        if not self.temperature:
            params.pop("temperature", None)
        if not self.top_p:
            params.pop("top_p", None)
        if self.top_logprobs == 0:
            params.pop("logprobs", None)
            params.pop("top_logprobs", None)
        elif "top_logprobs" in params:
            params["top_logprobs"] = min(params["top_logprobs"], self.top_logprobs)
        return params

    def _protocol(self, request: JudgeRequest) -> str:
        marks = []
        if not self.temperature and "temperature" in request.params:
            marks.append("default-temperature")
        if self.reasoning:
            marks.append("reasoning")
        top = request.params.get("top_logprobs", 0)
        if 0 < self.top_logprobs < top:
            marks.append(f"top{self.top_logprobs}")
        return "/".join([request.protocol, *marks])


def from_json(value: Mapping[str, Any] | None) -> Capabilities:
    """The record of the store; one that takes everything where there is none."""
    if not isinstance(value, Mapping):
        return Capabilities()
    usual = asdict(Capabilities())
    known = {k: v for k, v in value.items() if k in usual and type(v) is type(usual[k])}
    return Capabilities(**known)


def discover(
    send: Callable[[JudgeRequest], Reply | str], probe: JudgeRequest, start: Capabilities
) -> tuple[Capabilities, Reply]:
    """Send the probe, changed by what the server refuses, until it is answered.

    Args:
        send: gives the reply, or the server's refusal as text.
        start: what is known already.

    Raises:
        JudgeError: the server refuses every set of parameters.
    """
    found, refusal = start, ""
    for _ in range(MOST_STEPS):
        answer = send(found.adapt(probe))
        if isinstance(answer, str):
            refusal = answer
            changed = _after_refusal(found, answer, probe.params)
        else:
            changed = _after_reply(found, answer, probe.params)
            if changed == found:
                return found, answer
        if changed == found:
            break
        found = changed
    raise JudgeError(f"the server accepts no parameter set that this program has: {refusal}")


def _after_refusal(found: Capabilities, text: str, asked: Mapping[str, Any]) -> Capabilities:
    """The capabilities without the parameter that a refusal names."""
    sent = found._params(asked)
    if CUT.search(text):
        return replace(found, reasoning=True)
    if "max_completion_tokens" in text and found.limit_name == "max_tokens":
        return replace(found, limit_name="max_completion_tokens")
    if _names("temperature", text) and "temperature" in sent:
        return replace(found, temperature=False)
    if _names("top_p", text) and "top_p" in sent:
        return replace(found, top_p=False)
    if _names("top_logprobs", text) and "top_logprobs" in sent:
        limit = LIMIT.search(text)
        most = int(limit.group(1)) if limit else 0
        return replace(found, top_logprobs=most if most < sent["top_logprobs"] else 0)
    if re.search(r"log[-_ ]?prob", text, re.IGNORECASE) and "logprobs" in sent:
        return replace(found, top_logprobs=0)
    if _names("max_tokens", text) and found.limit_name == "max_tokens":
        return replace(found, limit_name="max_completion_tokens")
    return found


def _after_reply(found: Capabilities, reply: Reply, asked: Mapping[str, Any]) -> Capabilities:
    """The capabilities after an answer: does it reason, and are the log-probabilities there?"""
    cut_off = reply.finish_reason == "length" and not (reply.text.strip() or reply.top_logprobs)
    if not found.reasoning and (reply.reasoned or reply.unfinished or cut_off):
        return replace(found, reasoning=True)
    if "logprobs" in found._params(asked) and not reply.top_logprobs:
        return replace(found, top_logprobs=0)
    return found


def _names(parameter: str, text: str) -> bool:
    return re.search(rf"\b{parameter}\b", text) is not None
