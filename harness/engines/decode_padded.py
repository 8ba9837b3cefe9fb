"""The decode loop for models whose attention is not plain: sliding windows, soft caps, sinks, ...

Slower than ``decode.Decoder`` and the same in its results: the model's own attention and cache, rows
padded on the left to one length, every prompt computed in full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob
from harness.engines.batching import Batch, Group
from harness.engines.chat_tokenizer import Codec
from harness.engines.decode_state import Row, advance, make_rows, pieces, read_targets
from harness.engines.sample_token import pick, uniforms


class PlainDecoder:
    """Same calls as ``decode.Decoder``; asks of the model only ``forward`` with a cache."""

    def __init__(self, model: Any, codec: Codec, *, max_length: int, piece_tokens: int) -> None:
        self.model, self.codec = model, codec
        self.max_length, self.piece_tokens = max_length, piece_tokens
        self.device = model.device

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
        seeds = np.array([row.seed for row in rows], dtype=np.uint64)
        ids, mask = self._left_padded([row.own for row in rows])
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        cache: Any = None
        step = 0
        while True:
            out = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            noise = uniforms(seeds, step) if not params.greedy else None
            tokens = pick(out.logits[:, -1], params.temperature, params.top_p, noise)
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
            logits = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
                use_cache=False,
                logits_to_keep=longest,
            ).logits
            for number, row in enumerate(part):
                count = len(targets[row][0])
                found = read_targets(logits[number, -count:].float(), targets[row])
                for item, result in zip(items[row], found, strict=True):
                    on_done(item, result)

    def _left_padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(len(row) for row in rows)
        ids = [[*[0] * (width - len(row)), *row] for row in rows]
        mask = [[*[0] * (width - len(row)), *[1] * len(row)] for row in rows]
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)
