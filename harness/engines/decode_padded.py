"""The decode loop for models whose attention is not plain: sliding windows, soft caps, sinks, ...

Slower than ``decode.Decoder`` and the same in its results: the model's own attention and cache, rows
padded on the left to one length, every prompt computed in full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import torch

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob
from harness.engines.batching import Batch, Group
from harness.engines.chat_tokenizer import Codec
from harness.engines.decode_state import Row, advance, choose, make_rows, pieces, read_targets


class PlainDecoder:
    """Same calls as ``decode.Decoder``; needs only the model's ``forward`` with a cache."""

    def __init__(self, model: Any, codec: Codec, *, max_length: int, piece_tokens: int) -> None:
        self.model, self.codec = model, codec
        self.max_length, self.piece_tokens = max_length, piece_tokens
        self.device, self.choose = model.device, choose
        self._taken = signature(type(model).forward).parameters

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
        rows = make_rows(whole, prompts, seeds, params, self.max_length)
        for first, last in pieces([len(row.own) for row in rows], 8 * self.piece_tokens):
            self._decode(rows[first:last], params, on_done)

    def _decode(
        self, rows: list[Row], params: SamplingParams, on_done: Callable[[int, Completion], None]
    ) -> None:
        ids, mask = self._left_padded([row.own for row in rows])
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        cache: Any = None
        step = 0
        while True:
            out = self._forward(
                ids, mask, positions, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            cache = out.past_key_values
            tokens = self.choose(rows, out.logits[:, -1], params, step)
            for row, token in zip(rows, tokens.tolist(), strict=True):
                if not row.done:
                    advance(row, token, params, self.codec, on_done)
            if all(row.done for row in rows):
                return
            step += 1
            ids, positions = tokens[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)

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
        rows = batch.items
        for first, last in pieces([len(inputs[row]) for row in rows], self.piece_tokens):
            part = rows[first:last]
            ids, mask = self._left_padded([inputs[row] for row in part])
            longest = max(len(targets[row][0]) for row in part)
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
            logits = self._forward(
                ids, mask, positions, use_cache=False, logits_to_keep=longest
            ).logits
            for number, row in enumerate(part):
                count = len(targets[row][0])
                found = read_targets(logits[number, -count:].float(), targets[row])
                for item, result in zip(items[row], found, strict=True):
                    on_done(item, result)

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, **more: Any
    ) -> Any:
        """The model's forward pass with as many of the optional arguments as it takes."""
        optional = {"position_ids": positions, "logits_to_keep": more.pop("logits_to_keep")}
        more |= {name: value for name, value in optional.items() if name in self._taken}
        return self.model(input_ids=ids, attention_mask=mask, **more)

    def _left_padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(len(row) for row in rows)
        ids = [[*[0] * (width - len(row)), *row] for row in rows]
        mask = [[*[0] * (width - len(row)), *[1] * len(row)] for row in rows]
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)
