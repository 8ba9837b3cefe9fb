"""Attention over a packed sequence: each completion sees its prompt and itself, nothing else.

Instead of one dense (T, T) mask, which would compute and throw away all the blocks between
completions, every branch is attended in parts: the prompt causally, then each completion against
(its prompt, itself); on a GPU where the forward probe found it right, by ``sso.block_mask`` in one call.
``groundwork.attention`` brings it into a transformers model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from groundwork import cpu_kernels as kernels
from sso.batches import BranchLayout, PackedLayout
from sso.block_mask import LEAST_TOKENS, AttentionShape, block_attention, block_mask

TOLERANCE = {torch.float32: 1e-2, torch.float16: 1e-2, torch.bfloat16: 4e-2}
"""Relative difference, in the Frobenius norm, that rounding explains (float32 may be TF32 on a GPU)."""

_shapes: set[AttentionShape] | None = None


@contextlib.contextmanager
def attention_shapes() -> Iterator[set[AttentionShape]]:
    """The shapes of all packed attention in this context, as the model asks for it."""
    global _shapes
    found: set[AttentionShape] = set()
    _shapes = found
    try:
        yield found
    finally:
        _shapes = None


class PackedAttention:
    """``groundwork.attention.AttentionLayout`` of a packed sequence; with ``device``, behind a block mask there."""

    def __init__(self, layout: PackedLayout, device: torch.device | None = None) -> None:
        self.layout = layout
        masked = device is not None and layout.tokens >= LEAST_TOKENS
        self._mask = block_mask(layout, device) if masked else None

    @property
    def longest(self) -> float:
        """Tokens of the longest prompt and completion."""
        return max(b.prompt + max(b.completions, default=0) for b in self.layout.branches)

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float | None,
        dropout: float = 0.0,
    ) -> Tensor:
        """Attention (1, H, T, D) of one layer."""
        if _shapes is not None:
            _shapes.add(
                AttentionShape(query.shape[1], key.shape[1], query.shape[3], value.shape[3])
            )
        if self._mask is not None and not dropout:
            return block_attention(query, key, value, self._mask, scale=scale)
        return packed_attention(query, key, value, self.layout, dropout=dropout, scaling=scale)


def packed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: PackedLayout,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
) -> Tensor:
    """Attention of a packed sequence, (1, H, T, D) out; key and value may have fewer heads."""
    if not dropout and kernels.usable(query, key, value):
        scale = query.shape[3] ** -0.5 if scaling is None else scaling
        return _CpuPackedAttention.apply(query, key, value, layout, scale)
    return attention_in_parts(query, key, value, layout, dropout=dropout, scaling=scaling)


def attention_in_parts(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: PackedLayout,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
) -> Tensor:
    """``packed_attention`` as one call of torch's own attention for each prompt and each completion."""
    repeat = query.shape[1] // key.shape[1]
    if repeat > 1:
        key, value = (x.repeat_interleave(repeat, dim=1) for x in (key, value))
    sizes = [n for b in layout.branches for n in (b.prompt, *b.completions)]
    parts = zip(*(x.split(sizes, dim=2) for x in (query, key, value)), strict=True)
    out: list[Tensor] = []
    for branch in layout.branches:
        q, prompt_k, prompt_v = next(parts)
        out.append(_attend(q, prompt_k, prompt_v, dropout, scaling))
        for _ in branch.completions:
            q, k, v = next(parts)
            k, v = torch.cat((prompt_k, k), dim=2), torch.cat((prompt_v, v), dim=2)
            out.append(_attend(q, k, v, dropout, scaling))
    return torch.cat(out, dim=2)


def check_kernel(shape: AttentionShape, dtype: torch.dtype, device: torch.device) -> None:
    """Compare ``block_attention`` of this shape with attention in parts, output and gradients.

    Raises:
        RuntimeError: they differ, or FlexAttention can't be compiled here.
    """
    layout = PackedLayout((BranchLayout(0, 150, (90, 41)), BranchLayout(281, 1, (33,))), 315)
    noise = torch.Generator().manual_seed(0)
    heads, key_heads, width, value_width = shape
    shapes = ((heads, width), (key_heads, width), (key_heads, value_width), (heads, value_width))
    *inputs, upstream = (
        torch.randn(1, h, layout.tokens, w, generator=noise).to(device, dtype) for h, w in shapes
    )
    mask, scale = block_mask(layout, device), width**-0.5
    found = []
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        for attend in (
            lambda q, k, v: block_attention(q, k, v, mask, scale=scale),
            lambda q, k, v: attention_in_parts(q, k, v, layout, scaling=scale),
        ):
            leaves = [x.detach().requires_grad_() for x in inputs]
            out = attend(*leaves)
            found.append((out, *torch.autograd.grad(out, leaves, upstream)))
    for ours, parts in zip(*found, strict=True):
        expected = parts.detach().double()
        apart = float((ours.detach().double() - expected).norm() / expected.norm())
        if not apart <= TOLERANCE.get(dtype, 1e-2):
            raise RuntimeError(f"FlexAttention differs from attention in parts by {apart:.2g}")


def _attend(q: Tensor, k: Tensor, v: Tensor, dropout: float, scaling: float | None) -> Tensor:
    """Causal attention of the last ``q.shape[2]`` positions of the keys."""
    rows, columns = q.shape[2], k.shape[2]
    if rows == 0:
        return v[:, :, :0]
    mask: Any = None
    if rows not in (columns, 1):
        # on a GPU the flash kernels know this shape by name; a boolean mask keeps them out
        mask = _named(rows, columns) if q.is_cuda else _lower_right(rows, columns, str(q.device))
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling, is_causal=rows == columns > 1
    )


def _named(rows: int, columns: int) -> Any:
    from torch.nn.attention.bias import causal_lower_right  # loads torch's compiler: seconds

    return causal_lower_right(rows, columns)


class _CpuPackedAttention(torch.autograd.Function):
    """The same with less memory, for training on a CPU in float32.

    Query heads that share a key head are one matrix, so key heads are never repeated; scores exist for
    one key head and ``_BLOCK`` rows at a time, and are made again in the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: PackedLayout, scale: float
    ) -> Tensor:
        batch, heads, tokens, _ = query.shape
        width = value.shape[3]
        out = query.new_empty(batch, tokens, heads, width).transpose(1, 2)
        repeat = heads // key.shape[1]
        for head in range(key.shape[1]):
            group = slice(head * repeat, (head + 1) * repeat)
            for rows, prompt in _parts(layout):
                k, v = _seen(key[0, head], rows, prompt), _seen(value[0, head], rows, prompt)
                first = k.shape[0] - (rows.stop - rows.start)
                for block, seen in _blocks(rows, first):
                    q = _flat(query[0, group, block])
                    weights = _weights(q, k[:seen], repeat, scale)
                    mixed = weights @ v[:seen]
                    out[0, group, block] = mixed.view(repeat, -1, width)
        ctx.save_for_backward(query, key, value)
        ctx.layout, ctx.scale = layout, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = ctx.saved_tensors
        grad, scale, repeat = grads[0], ctx.scale, query.shape[1] // key.shape[1]
        d_query = torch.empty_like(query)
        d_key, d_value = torch.zeros_like(key), torch.zeros_like(value)
        for head in range(key.shape[1]):
            group = slice(head * repeat, (head + 1) * repeat)
            for rows, prompt in _parts(ctx.layout):
                k, v = _seen(key[0, head], rows, prompt), _seen(value[0, head], rows, prompt)
                d_k, d_v = torch.zeros_like(k), torch.zeros_like(v)
                first = k.shape[0] - (rows.stop - rows.start)
                for block, seen in _blocks(rows, first):
                    q, d_out = _flat(query[0, group, block]), _flat(grad[0, group, block])
                    weights = _weights(q, k[:seen], repeat, scale)
                    d_v[:seen] += weights.t() @ d_out
                    d_weights = d_out @ v[:seen].t()
                    d_scores = torch._softmax_backward_data(d_weights, weights, -1, q.dtype)
                    d_scores.mul_(scale)
                    d_query[0, group, block] = (d_scores @ k[:seen]).view(repeat, -1, q.shape[1])
                    d_k[:seen] += d_scores.t() @ q
                if prompt is not None:
                    d_key[0, head, prompt] += d_k[:first]
                    d_value[0, head, prompt] += d_v[:first]
                d_key[0, head, rows] += d_k[first:]
                d_value[0, head, rows] += d_v[first:]
        return d_query, d_key, d_value, None, None


_BLOCK = 256
"""Query rows whose scores exist at once: bounds memory, and skips what lies above the diagonal."""


def _parts(layout: PackedLayout) -> Iterator[tuple[slice, slice | None]]:
    """Rows of every prompt (seeing themselves) and completion (seeing also its prompt's rows)."""
    for branch in layout.branches:
        end = branch.start + branch.prompt
        prompt = slice(branch.start, end)
        yield prompt, None
        for length in branch.completions:
            if length:
                yield slice(end, end + length), prompt
            end += length


def _seen(x: Tensor, rows: slice, prompt: slice | None) -> Tensor:
    """One head's keys or values that the rows may look at, (m, D) contiguous."""
    return x[rows].contiguous() if prompt is None else torch.cat((x[prompt], x[rows]))


def _blocks(rows: slice, first: int) -> Iterator[tuple[slice, int]]:
    """Even blocks of the rows, each with the number of keys that its last row sees."""
    count = -(-(rows.stop - rows.start) // _BLOCK)
    size = -(-(rows.stop - rows.start) // count)
    for start in range(rows.start, rows.stop, size):
        stop = min(start + size, rows.stop)
        yield slice(start, stop), first + stop - rows.start


def _flat(x: Tensor) -> Tensor:
    """(heads, n, D) of any strides as (heads * n, D) contiguous."""
    return x.reshape(-1, x.shape[2]).contiguous()


def _weights(q: Tensor, k: Tensor, repeat: int, scale: float) -> Tensor:
    """Softmax of the scores of the last rows of k, (repeat * n, m)."""
    rows = q.shape[0] // repeat
    scores = (q @ k.t()).mul_(scale)
    # only the last square of the columns has anything hidden
    scores.view(repeat, rows, -1)[:, :, k.shape[0] - rows :].add_(_hidden_mask()[:rows, :rows])
    return torch.softmax(scores, dim=-1)


@lru_cache(maxsize=1)
def _hidden_mask() -> Tensor:
    """(_BLOCK, _BLOCK): minus infinity above the diagonal."""
    return torch.full((_BLOCK, _BLOCK), float("-inf")).triu(1)


@lru_cache(maxsize=256)
def _lower_right(rows: int, columns: int, device: str) -> Tensor:
    """Boolean mask (rows, columns) in which the last row sees every column."""
    return torch.ones(rows, columns, dtype=torch.bool, device=device).tril(columns - rows)
