"""A text engine without a model: replies are a function of prompt and seed, requests are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from groundwork.sampling_params import SamplingParams

Reply = Callable[[Sequence[dict[str, str]], int, float], str]


@dataclass(frozen=True)
class FakeCompletion:
    text: str
    completion_tokens: int
    truncated: bool = False


@dataclass(frozen=True)
class FakeLogprob:
    total: float
    tokens: int


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def hashed_reply(prompt: Sequence[dict[str, str]], seed: int, temperature: float) -> str:
    """Four words drawn from a hash of all that may decide a reply."""
    code = digest(prompt, seed if temperature else 0, temperature)
    return " ".join(f"w{code[i : i + 2]}" for i in range(0, 8, 2))


@dataclass
class FakeEngine:
    """``reply`` writes the texts; ``name`` tells engines of different checkpoints apart."""

    reply: Reply = hashed_reply
    name: str = "policy"
    truncate: Callable[[str], bool] = lambda text: False
    chats: list[dict[str, Any]] = field(default_factory=list)
    scored: list[tuple[Any, str]] = field(default_factory=list)

    def chat(
        self,
        prompts: Sequence[Any],
        params: SamplingParams,
        *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, FakeCompletion], None] | None = None,
    ) -> list[FakeCompletion]:
        given = list(seeds) if seeds is not None else [0] * len(prompts)
        self.chats.append({"prompts": list(prompts), "seeds": given, "params": params})
        texts = [self.reply(p, s, params.temperature) for p, s in zip(prompts, given, strict=True)]
        found = [FakeCompletion(t, len(t.split()) + 1, self.truncate(t)) for t in texts]
        for index, completion in enumerate(found):
            if on_done is not None:
                on_done(index, completion)
        return found

    def logprobs(
        self,
        prompts: Sequence[Any],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
    ) -> list[FakeLogprob]:
        """Every token costs one nat, so that averages are -1 whatever the text."""
        pairs = list(zip(prompts, continuations, strict=True))
        self.scored += pairs
        return [FakeLogprob(-float(len(text.split())), len(text.split())) for _, text in pairs]
