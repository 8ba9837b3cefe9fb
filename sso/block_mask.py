"""A packed sequence's attention as one FlexAttention kernel, for GPUs.

``sso.packed_attention`` computes it in parts, a call per prompt and per completion; here it is one call per layer
behind a block mask. The mask comes from the layout, never from a dense (T, T) matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sso.batches import PackedLayout

BLOCK = 128
"""Side of a block of the mask: FlexAttention's own."""

LEAST_TOKENS = 2 * BLOCK
"""Shorter sequences go in parts: there is little to gain, and a single block compiles anew."""


class AttentionShape(NamedTuple):
    """Heads of the queries, of the keys and values, and the widths of a key and of a value."""

    heads: int
    key_heads: int
    width: int
    value_width: int


def block_mask(layout: PackedLayout, device: Any) -> Any:
    """FlexAttention's ``BlockMask`` of a packed sequence of T tokens.

    A row sees an unbroken run of rows up to itself (its own prompt or completion) and, in a completion, the rows of
    its prompt: from the bounds of both follows how many columns of each block a row sees, (T, T / 128) numbers.
    """
    from torch.nn.attention.flex_attention import BlockMask

    tokens = layout.tokens
    blocks = -(-tokens // BLOCK)
    own, first, last = _bounds(layout)
    rows = torch.arange(tokens)
    edges = BLOCK * torch.arange(blocks)
    seen = torch.zeros(blocks * BLOCK, blocks, dtype=torch.long)  # rows after the end see nothing
    seen[:tokens] = _overlap(own, rows + 1, edges) + _overlap(first, last, edges)
    seen = seen.view(blocks, BLOCK, blocks)
    full = (seen == BLOCK).all(1)
    part = (seen > 0).any(1) & ~full
    own, first, last = (x.to(device) for x in (own, first, last))

    def sees(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        near = (column <= row) & (column >= own[row])
        return near | ((column >= first[row]) & (column < last[row]))

    return BlockMask.from_kv_blocks(
        *_indices(part, device),
        *_indices(full, device),
        BLOCK_SIZE=BLOCK,
        mask_mod=sees,
        seq_lengths=(tokens, tokens),
    )


def block_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Any, *, scale: float | None = None
) -> Tensor:
    """Attention (1, H, T, D) behind a mask of ``block_mask``; key and value may have fewer heads.

    Under autocast in its precision, as torch's own attention.
    """
    device = query.device.type
    if torch.is_autocast_enabled(device):
        query, key, value = (x.to(torch.get_autocast_dtype(device)) for x in (query, key, value))
    return _kernel(query.is_cuda)(query, key, value, mask, scale)


@lru_cache(maxsize=2)
def _kernel(compiled: bool) -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Any, scale: float | None) -> Tensor:
        grouped = q.shape[1] != k.shape[1]
        return flex_attention(q, k, v, block_mask=mask, scale=scale, enable_gqa=grouped)

    # a graph that can't be compiled whole is an error: uncompiled, all scores would exist at once
    return torch.compile(attend, dynamic=True, fullgraph=True) if compiled else attend


def _bounds(layout: PackedLayout) -> tuple[Tensor, Tensor, Tensor]:
    """For every row: where its own run begins, and the first and the end of the prompt rows it sees besides, (T,)."""
    own, first, last = (torch.zeros(layout.tokens, dtype=torch.long) for _ in range(3))
    for branch in layout.branches:
        start, end = branch.start, branch.start + branch.prompt
        own[start:end] = start
        for length in branch.completions:
            rows = slice(end, end + length)
            own[rows], first[rows], last[rows] = end, start, start + branch.prompt
            end += length
    return own, first, last


def _overlap(start: Tensor, end: Tensor, edges: Tensor) -> Tensor:
    """How many of the columns [start, end) of each row lie in each block, (T, blocks)."""
    low = torch.maximum(start[:, None], edges)
    high = torch.minimum(end[:, None], edges + BLOCK)
    return (high - low).clamp_(min=0)


def _indices(wanted: Tensor, device: Any) -> tuple[Tensor, Tensor]:
    """Number and indices of the wanted blocks of every row of blocks, as ``BlockMask`` wants them."""
    counts = wanted.sum(1).to(torch.int32)
    order = wanted.to(torch.int8).argsort(dim=1, descending=True, stable=True).to(torch.int32)
    return counts[None, None].to(device), order[None, None].contiguous().to(device)
