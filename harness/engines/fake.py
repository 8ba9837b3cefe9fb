"""A deterministic engine without a model, for tests and for trying a configuration out.

Texts and log-probabilities are functions of a hash over model, prompt and seed. Tokens are words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob, Message, Prompt
from harness.engines.errors import ContextTooLong

WORDS = (
    *("the", "a", "one", "two", "three", "four", "water", "river", "stone", "light", "answer"),
    *("question", "number", "because", "so", "then", "first", "second", "finally", "sum", "result"),
    *("is", "are", "was", "gives", "takes", "with", "without", "Paris", "green", "small", "large"),
)


class FakeEngine:
    """See ``harness.engines.base.Engine``; ``reply(prompt text, seed)`` replaces the texts."""

    name = "fake"

    def __init__(
        self,
        model: Path | str = "fake",
        *,
        max_length: int | None = None,
        reply: Callable[[str, int], str] | None = None,
    ) -> None:
        self.model_hash = _identity(model)
        self.max_length = max_length or 8192
        self.reply = reply
        self.calls: list[tuple[str, int]] = []
        """(kind of call, items generated) of every call, for tests that count work."""

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """ChatML without a system prompt of its own."""
        turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages]
        return "".join(turns) + ("<|im_start|>assistant\n" if add_generation_prompt else "")

    def count_tokens(self, text: str) -> int:
        """Number of words."""
        return len(text.split())

    def chat(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams,
        *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, Completion], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[Completion]:
        """Texts of up to 24 words; a limit below the text's length truncates it."""
        from harness.engines.chat_tokenizer import cut_at_stop

        seeds = list(seeds) if seeds is not None else list(range(len(prompts)))
        results: list[Completion] = []
        skip = set(finished or ())
        for index, prompt in enumerate(prompts):
            text = self._text(prompt)
            if self.count_tokens(text) >= self.max_length:
                raise ContextTooLong(self.count_tokens(text) + 1, self.max_length, index)
            words = self._words(text, 0 if params.greedy else seeds[index])
            kept = words[: params.max_new_tokens]
            cut = cut_at_stop(" ".join(kept), params.stop)
            truncated = len(kept) < len(words) and cut == " ".join(kept)
            found = Completion(cut, self.count_tokens(text), len(kept), truncated)
            if finished is None:
                results.append(found)
            if index not in skip and on_done is not None:
                on_done(index, found)
        self.calls.append(("chat", len(prompts) - len(skip)))
        return results

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
        on_done: Callable[[int, ContinuationLogprob], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[ContinuationLogprob]:
        """Between -0.1 and -4 nats a word; greedy for about one continuation in four."""
        results: list[ContinuationLogprob] = []
        skip = set(finished or ())
        for index, (prompt, rest) in enumerate(zip(prompts, continuations, strict=True)):
            digest = _digest(self.model_hash, self._text(prompt), rest)
            tokens = max(1, self.count_tokens(rest))
            total = -tokens * (0.1 + 3.9 * digest[0] / 255)
            found = ContinuationLogprob(total, tokens, digest[1] < 64)
            if finished is None:
                results.append(found)
            if index not in skip and on_done is not None:
                on_done(index, found)
        self.calls.append(("logprobs", len(prompts) - len(skip)))
        return results

    def close(self) -> None:
        """Nothing to free."""

    def _text(self, prompt: Prompt) -> str:
        return prompt if isinstance(prompt, str) else self.render(prompt)

    def _words(self, text: str, seed: int) -> list[str]:
        if self.reply is not None:
            return self.reply(text, seed).split(" ")
        digest = _digest(self.model_hash, text, str(seed))
        count = 4 + digest[0] % 21
        return [WORDS[byte % len(WORDS)] for byte in digest[1 : 1 + count]]


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _identity(model: Path | str) -> str:
    """The folder's fingerprint where there is a model, else a hash of the name."""
    from harness.models import model_fingerprint, weight_files

    folder = Path(model)
    if folder.is_dir() and weight_files(folder):
        return model_fingerprint(folder)
    return hashlib.sha256(str(model).encode()).hexdigest()[:16]
