"""Attention over rows of different lengths that share prefixes: what the decode loop runs on.

Transformers' own cache pads all rows to one length, copies a shared prefix into every row and, for
grouped-query models, repeats keys and values for every query head at every step. Here each prefix
is stored once, each row holds only its own tokens from slot 0, and query heads that read the same
keys are computed together. Each forward call takes a *pass*, the layout of ``groundwork.attention``
that decides where keys and values go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.nn.functional import scaled_dot_product_attention


@dataclass
class RowGroup:
    """Rows ``first`` up to ``first + count`` of a batch, and the length of their shared prefix.

    ``keys[layer]`` and ``values[layer]`` of the prefix: (1, key heads, prefix, head size).
    """

    prefix: int
    first: int
    count: int
    keys: list[torch.Tensor] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)


@dataclass
class PrefixPass:
    """Runs a prefix (batch 1) through the model, keeping its keys and values in the group."""

    group: RowGroup
    longest = math.inf

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float | None,
        dropout: float = 0.0,
    ) -> torch.Tensor:
        """Causal attention of the prefix over itself."""
        assert layer == len(self.group.keys)
        self.group.keys.append(key)
        self.group.values.append(value)
        return _causal(query, key, value, scale)


class OwnPass:
    """Runs the own tokens of some rows of one group, padded on the right, behind their prefix.

    Keys and values are written to ``store`` from row ``first`` on, unless ``store`` is ``None``.
    """

    longest = math.inf

    def __init__(self, group: RowGroup, store: OwnStore | None = None, first: int = 0) -> None:
        self.group, self.store, self.first = group, store, first
        self._mask: torch.Tensor | None = None

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float | None,
        dropout: float = 0.0,
    ) -> torch.Tensor:
        """Causal attention over prefix and own tokens (padding comes after all real tokens)."""
        if self.store is not None:
            self.store.write(layer, self.first, key, value)
        prefix = self.group.prefix
        if not prefix:
            return _causal(query, key, value, scale)
        count, length = query.shape[0], query.shape[2]
        if self._mask is None:
            shape = (length, prefix + length)
            self._mask = torch.ones(shape, dtype=torch.bool, device=query.device).tril(prefix)
        keys = torch.cat([self.group.keys[layer].expand(count, -1, -1, -1), key], dim=2)
        values = torch.cat([self.group.values[layer].expand(count, -1, -1, -1), value], dim=2)
        return scaled_dot_product_attention(
            query, keys, values, attn_mask=self._mask, scale=scale, enable_gqa=True
        )


class OwnStore:
    """Keys and values of each row's own tokens: per layer (rows, key heads, slots, head size).

    Slots that a mask hides are read all the same, so they must hold finite numbers: the first
    ``cleared`` slots start as zeros, a later one is cleared when the first row reaches it.
    """

    def __init__(self, rows: int, slots: int, cleared: int) -> None:
        self.rows, self.slots, self.cleared = rows, slots, cleared
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def layer(
        self, index: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The slots of one layer, made on first use (untouched memory is never resident)."""
        while len(self.keys) <= index:
            for tensors, like in ((self.keys, key), (self.values, value)):
                shape = (self.rows, like.shape[1], self.slots, like.shape[3])
                tensors.append(torch.empty(shape, dtype=like.dtype, device=like.device))
                tensors[-1][:, :, : self.cleared] = 0
        return self.keys[index][: self.rows], self.values[index][: self.rows]

    def write(self, layer: int, first: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Put (count, heads, length, size) at slots 0.. of rows ``first``.."""
        keys, values = self.layer(layer, key, value)
        count, length = key.shape[0], key.shape[2]
        keys[first : first + count, :, :length] = key
        values[first : first + count, :, :length] = value

    def keep(self, rows: torch.Tensor, used: int) -> None:
        """Move the rows with these ascending numbers (and their first ``used`` slots) to the front."""
        count = len(rows)
        for tensor in (*self.keys, *self.values):
            tensor[:count, :, :used] = tensor[rows, :, :used]
        self.rows = count


class StepPass:
    """One new token for every row; ``lengths`` (rows,) own tokens are stored already."""

    longest = math.inf

    def __init__(
        self, store: OwnStore, groups: Sequence[RowGroup], lengths: torch.Tensor, longest: int
    ) -> None:
        self.store, self.groups, self.lengths = store, groups, lengths
        self.width = longest + 1
        self.numbers = torch.arange(len(lengths), device=lengths.device)
        self._mask: torch.Tensor | None = None

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float | None,
        dropout: float = 0.0,
    ) -> torch.Tensor:
        """Write the new keys and values, then attend over own tokens and the group's prefix."""
        keys, values = self.store.layer(layer, key, value)
        if self.width > self.store.cleared:
            keys[:, :, self.width - 1] = 0
            values[:, :, self.width - 1] = 0
        keys[self.numbers, :, self.lengths] = key[:, :, 0]
        values[self.numbers, :, self.lengths] = value[:, :, 0]
        keys, values = keys[:, :, : self.width], values[:, :, : self.width]
        mask = self._blocked(query)
        if not any(group.prefix for group in self.groups):
            return scaled_dot_product_attention(
                query, keys, values, attn_mask=mask, scale=scale, enable_gqa=True
            )
        out = query.new_empty(*query.shape[:3], value.shape[3])
        for group in self.groups:
            part = slice(group.first, group.first + group.count)
            if group.prefix:
                own = (keys[part], values[part])
                shared = (group.keys[layer][0], group.values[layer][0])
                out[part] = _with_prefix(query[part], own, mask[part], shared, scale)
            else:
                out[part] = scaled_dot_product_attention(
                    query[part],
                    keys[part],
                    values[part],
                    attn_mask=mask[part],
                    scale=scale,
                    enable_gqa=True,
                )
        return out

    def _blocked(self, query: torch.Tensor) -> torch.Tensor:
        """Additive mask (rows, 1, 1, width): minus infinity behind each row's newest token."""
        if self._mask is None:
            slots = torch.arange(self.width, device=query.device)
            beyond = slots[None, :] > self.lengths[:, None]
            mask = torch.zeros(beyond.shape, dtype=query.dtype, device=query.device)
            self._mask = mask.masked_fill_(beyond, float("-inf"))[:, None, None]
        return self._mask


def _causal(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None
) -> torch.Tensor:
    return scaled_dot_product_attention(
        query, key, value, is_causal=query.shape[2] > 1, scale=scale, enable_gqa=True
    )


def _with_prefix(
    query: torch.Tensor,
    own: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor,
    shared: tuple[torch.Tensor, torch.Tensor],
    scale: float | None,
) -> torch.Tensor:
    """One softmax over a prefix that all rows share (one matrix product) and each row's own slots.

    Keys and values: ``own`` (rows, key heads, slots, size), ``shared`` (key heads, prefix, size).
    """
    rows, heads, _, size = query.shape
    keys, values = shared
    key_heads, prefix, wide = values.shape
    fold = heads // key_heads
    scale = size**-0.5 if scale is None else scale
    folded = query.view(rows, key_heads, fold, size) * scale
    # (key heads, rows * fold, size): every query of the group against the prefix at once.
    across = folded.transpose(0, 1).reshape(key_heads, rows * fold, size)
    over_prefix = torch.matmul(across, keys.transpose(1, 2))
    over_prefix = over_prefix.view(key_heads, rows, fold, prefix).transpose(0, 1)
    over_own = torch.matmul(folded, own[0].transpose(2, 3)) + mask
    weights = torch.cat([over_prefix, over_own], dim=-1).softmax(dim=-1, dtype=torch.float32)
    weights = weights.to(values.dtype)
    first = weights[..., :prefix].transpose(0, 1).reshape(key_heads, rows * fold, prefix)
    out = torch.matmul(first, values).view(key_heads, rows, fold, wide).transpose(0, 1)
    out = out + torch.matmul(weights[..., prefix:], own[1])
    return out.reshape(rows, heads, 1, wide)
