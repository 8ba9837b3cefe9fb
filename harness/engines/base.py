"""What a text-generation engine is: the contract that every engine file implements.

A *prompt* is either a chat (a list of messages, rendered by the engine with the model's chat
template, generation prompt added) or a string (already rendered, used as it is). Neither gets a
second begin-of-text token: text is tokenised with ``add_special_tokens=False``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from groundwork.chat_tokens import Message
from groundwork.sampling_params import SamplingParams

Prompt = str | Sequence[Message]


@dataclass(frozen=True)
class Completion:
    """One generated answer; ``truncated`` when the token limit came before an end of turn."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    truncated: bool


@dataclass(frozen=True)
class ContinuationLogprob:
    """Log-probability of a given continuation: ``total`` in nats over ``tokens`` tokens.

    ``greedy``: every token was the argmax.
    """

    total: float
    tokens: int
    greedy: bool


class Engine(Protocol):
    """A loaded model that writes text and scores continuations."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def model_hash(self) -> str:
        """Fingerprint of weights and tokenizer, or of server and model name."""

    @property
    def max_length(self) -> int:
        """Context length in tokens."""

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The chat as the model reads it (the only place where a chat template is applied)."""

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``, no special tokens added."""

    def chat(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams,
        *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, Completion], None] | None = None,
    ) -> Sequence[Completion]:
        """One completion per prompt, in order.

        ``seeds`` holds one seed per prompt: the same prompt, seed and batch mates give the same
        text. ``on_done(index, completion)`` is called as items finish, in any order.
        """

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
    ) -> Sequence[ContinuationLogprob]:
        """Log-probability of each continuation after its prompt (same lengths, paired).

        Where ``ended``, the token that ends a turn is part of the continuation.
        """

    def close(self) -> None:
        """Free the model's memory. The engine can't be used afterwards."""
