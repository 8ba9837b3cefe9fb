"""Rows of a batch: what both decode loops of the in-process engine share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob
from harness.engines.batching import Batch
from harness.engines.chat_tokenizer import Codec, cut_at_stop
from harness.engines.sample_token import pick, uniforms

if TYPE_CHECKING:
    import torch


PREFIX_SHARE = 32


@dataclass
class Row:
    """One prompt being answered: ``own`` tokens follow the group's prefix; ``room`` new ones fit."""

    item: int
    own: list[int]
    prompt_tokens: int
    seed: int
    room: int
    out: list[int] = field(default_factory=list)
    done: bool = False


def make_rows(
    batch: Batch,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    params: SamplingParams,
    max_length: int,
) -> list[Row]:
    """The rows of a batch, in its order."""
    rows = []
    for group in batch.groups:
        for item in group.items:
            prompt = list(prompts[item])
            room = min(params.max_new_tokens, max_length - len(prompt))
            seed = seeds[item] & 0xFFFFFFFFFFFFFFFF
            rows.append(Row(item, prompt[group.prefix :], len(prompt), seed, room))
    return rows


def choose(
    rows: Sequence[Row], logits: torch.Tensor, params: SamplingParams, step: int
) -> torch.Tensor:
    """The next token (rows,) of every row from logits (rows, vocabulary): greedy, or by each row's seed."""
    noise = None
    if not params.greedy:
        noise = uniforms(np.array([row.seed for row in rows], dtype=np.uint64), step)
    return pick(logits, params.temperature, params.top_p, noise)


def advance(
    row: Row,
    token: int,
    params: SamplingParams,
    codec: Codec,
    on_done: Callable[[int, Completion], None],
) -> None:
    """Add a token to a row; where that ends it, mark it done and report its completion."""
    row.out.append(token)
    ended = token in codec.end_ids and not params.ignore_end
    stopped = not ended and bool(params.stop) and _stops(row.out, params.stop, codec)
    if not (ended or stopped or len(row.out) >= row.room):
        return
    row.done = True
    ids = row.out[:-1] if ended else row.out
    plain = codec.decode(ids)
    text = cut_at_stop(plain, params.stop)
    if stopped and text == plain:
        # The stop string is made of special tokens, which only the raw text shows.
        text = cut_at_stop(codec.decode_raw(ids), params.stop)
    truncated = not (ended or stopped)
    on_done(row.item, Completion(text, row.prompt_tokens, len(row.out), truncated))


def _stops(out: list[int], stop: Sequence[str], codec: Codec) -> bool:
    """Whether the newest token completes a stop string (a token is at least one byte)."""
    tail = max(len(mark.encode()) for mark in stop) + 4
    text = codec.decode_raw(out[-tail:])
    return any(mark in text for mark in stop)


def pieces(lengths: Sequence[int], limit: int, prefix: int = 0) -> list[tuple[int, int]]:
    """Cut rows into runs whose padded size stays within ``limit`` tokens (at least one row each).

    With a shared ``prefix``, whose keys are laid out once a row while a run is computed, a run's
    rows and prefixes together stay within ``PREFIX_SHARE`` times the limit.
    """
    found, first, widest = [], 0, 0
    for number, length in enumerate(lengths):
        widest = max(widest, length)
        count = number - first + 1
        full = widest * count > limit or (widest + prefix) * count > PREFIX_SHARE * limit
        if number > first and full:
            found.append((first, number))
            first, widest = number, length
    if lengths:
        found.append((first, len(lengths)))
    return found


def read_targets(
    logits: torch.Tensor, targets: Sequence[Sequence[int]]
) -> list[ContinuationLogprob]:
    """Results of several continuations whose tokens ``logits`` (tokens, vocabulary) predict."""
    import torch

    ids = torch.tensor([list(target) for target in targets], device=logits.device)
    values = logits.gather(1, ids.T).T - logits.logsumexp(dim=-1)
    totals = values.double().sum(dim=1).tolist()
    greedy = (logits.argmax(dim=-1) == ids).all(dim=1).tolist()
    count = ids.shape[1]
    return [ContinuationLogprob(t, count, g) for t, g in zip(totals, greedy, strict=True)]
