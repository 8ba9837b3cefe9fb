"""One prompt at a time through the model's own ``generate``: what any causal model of transformers can do.

For models that neither faster loop serves: recurrent states that padding would change, rotary angles that
follow the length of the sequence, caches of their own kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from groundwork.attention import switch_attention
from groundwork.rope import forget_lengths
from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob
from harness.engines.batching import Batch, Group
from harness.engines.chat_tokenizer import Codec
from harness.engines.decode_state import Row, advance, choose, make_rows, read_targets

STATES = ("recurrent_states", "conv1d_state", "key_states", "value_states")
"""Attributes in which RecurrentGemma's modules keep what they have read."""


class SingleDecoder:
    """Same calls as ``decode.Decoder``. ``attention`` is the model's own implementation where another one
    has been switched on since; ``cached`` False computes every step from the first token on."""

    def __init__(
        self,
        model: Any,
        codec: Codec,
        *,
        max_length: int,
        attention: str | None = None,
        cached: bool = True,
    ) -> None:
        self.model, self.codec = model, codec
        self.max_length, self.attention, self.cached = max_length, attention, cached
        self.choose = choose

    @torch.inference_mode()
    def generate(
        self,
        batch: Batch,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        params: SamplingParams,
        on_done: Callable[[int, Completion], None],
    ) -> None:
        """Answer the prompts of one batch; ``on_done(item, completion)`` as rows end."""
        whole = Batch(tuple(Group(0, group.items) for group in batch.groups))
        with self._own_attention():
            for row in make_rows(whole, prompts, seeds, params, self.max_length):
                forget(self.model)
                ids = torch.tensor([row.own], device=self.model.device)
                self.model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    generation_config=GenerationConfig(
                        max_new_tokens=row.room,
                        do_sample=False,
                        use_cache=self.cached,
                        pad_token_id=0,
                    ),
                    logits_processor=[_Chooser(self, row, params, on_done)],
                    stopping_criteria=[_Done(row)],
                )

    @torch.inference_mode()
    def score(
        self,
        batch: Batch,
        inputs: Sequence[Sequence[int]],
        targets: Sequence[Sequence[Sequence[int]]],
        items: Sequence[Sequence[int]],
        on_done: Callable[[int, ContinuationLogprob], None],
    ) -> None:
        """Log-probabilities of continuations (see ``decode.Decoder.score``)."""
        with self._own_attention():
            for row in batch.items:
                logits = whole_logits(self.model, inputs[row])
                found = read_targets(logits[-len(targets[row][0]) :], targets[row])
                for item, result in zip(items[row], found, strict=True):
                    on_done(item, result)

    @contextmanager
    def _own_attention(self) -> Iterator[None]:
        """The model's own attention and no generation settings but ours, for a while."""
        other = switch_attention(self.model, self.attention) if self.attention else None
        settings, self.model.generation_config = self.model.generation_config, GenerationConfig()
        try:
            yield
        finally:
            self.model.generation_config = settings
            if other:
                switch_attention(self.model, other)


def whole_logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """Float logits (tokens, vocabulary) of one sequence, from one forward pass of the model itself."""
    forget(model)
    row = torch.tensor([list(ids)], device=model.device)
    logits: torch.Tensor = model(input_ids=row, use_cache=False).logits[0].float()
    return logits


def forget(model: Any) -> None:
    """Take the model back to its start: rotary lengths, and states that it keeps in its modules (a prompt
    of one token would continue the sequence before it)."""
    forget_lengths(model)
    for module in model.modules():
        for name in STATES:
            if isinstance(vars(module).get(name), torch.Tensor):
                setattr(module, name, None)


class _Chooser(LogitsProcessor):
    """Leaves ``generate`` no token but the one that our own rule chooses."""

    def __init__(
        self,
        decoder: SingleDecoder,
        row: Row,
        params: SamplingParams,
        on_done: Callable[[int, Completion], None],
    ) -> None:
        self.decoder, self.row, self.params, self.on_done = decoder, row, params, on_done

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token = self.decoder.choose([self.row], scores, self.params, len(self.row.out))
        if not self.row.done:
            codec = self.decoder.codec
            advance(self.row, int(token[0]), self.params, codec, self.on_done)
        return torch.full_like(scores, -torch.inf).scatter_(1, token[:, None], 0.0)


class _Done(StoppingCriteria):
    def __init__(self, row: Row) -> None:
        self.row = row

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.tensor([self.row.done], device=input_ids.device)
