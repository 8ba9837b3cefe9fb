"""Attention over a packed sequence: each completion sees its prompt and itself, nothing else.

Registered with transformers as an attention implementation of its own, so that every model whose
attention goes through that interface can use it. Instead of one dense (T, T) mask, which would
compute and throw away all the blocks between completions, every branch is attended in parts: the
prompt causally, then each completion against (its prompt, itself). Calls without a layout are
plain SDPA.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sso.batches import PackedLayout

NAME = "sso_shared_prefix"


def register() -> str:
    """Make the implementation known to transformers; returns its name."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attention_forward)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def attention_forward(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sso_layout: PackedLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention signature: query (B, H, T, D), key and value (B, Hkv, T, D).

    Returns (B, T, H, D). ``sso_layout`` gives the structure of a packed sequence.
    """
    if sso_layout is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **kwargs
        )
    out = packed_attention(query, key, value, sso_layout, dropout=dropout, scaling=scaling)
    return out.transpose(1, 2), None


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
    if not dropout and query.dtype == torch.float32 and query.device.type == "cpu" and _CPU_KERNEL:
        return _CpuPackedAttention.apply(query, key, value, layout, scaling)
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


def _attend(q: Tensor, k: Tensor, v: Tensor, dropout: float, scaling: float | None) -> Tensor:
    """Causal attention of the last ``q.shape[2]`` positions of the keys."""
    rows, columns = q.shape[2], k.shape[2]
    if rows == 0:
        return q
    mask = None if rows == columns or rows == 1 else _lower_right(rows, columns, str(q.device))
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling, is_causal=rows == columns > 1
    )


_CPU_KERNEL = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")


class _CpuPackedAttention(torch.autograd.Function):
    """The same on torch's CPU flash kernel, called directly: no repeated key heads, no copies kept.

    The kernel takes fewer key heads as they are, and its backward pass is called a part at a time, each
    adding into the gradient of the prompt's keys and values.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: PackedLayout, scale: Any
    ) -> Tensor:
        batch, heads, tokens, width = query.shape
        out = query.new_empty(batch, tokens, heads, width).transpose(1, 2)
        stats = query.new_empty(*query.shape[:3])
        for rows, prompt in _parts(layout):
            k, v = _seen(key, rows, prompt), _seen(value, rows, prompt)
            mask = _additive(rows.stop - rows.start, k.shape[2])
            out[:, :, rows], part_stats = (
                torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                    query[:, :, rows], k, v, 0.0, prompt is None, attn_mask=mask, scale=scale
                )
            )
            stats[:, :, rows] = part_stats
        ctx.save_for_backward(query, key, value, out, stats)
        ctx.layout, ctx.scale = layout, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, stats = ctx.saved_tensors
        grad = grads[0]
        d_query, d_key, d_value = (torch.empty_like(x) for x in (query, key, value))
        for rows, prompt in _parts(ctx.layout):
            k, v = _seen(key, rows, prompt), _seen(value, rows, prompt)
            mask = _additive(rows.stop - rows.start, k.shape[2])
            d_query[:, :, rows], d_k, d_v = (
                torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                    grad[:, :, rows],
                    query[:, :, rows],
                    k,
                    v,
                    out[:, :, rows],
                    stats[:, :, rows],
                    0.0,
                    prompt is None,
                    attn_mask=mask,
                    scale=ctx.scale,
                )
            )
            shared = 0 if prompt is None else prompt.stop - prompt.start
            d_key[:, :, rows], d_value[:, :, rows] = d_k[:, :, shared:], d_v[:, :, shared:]
            if prompt is not None:
                d_key[:, :, prompt] += d_k[:, :, :shared]
                d_value[:, :, prompt] += d_v[:, :, :shared]
        return d_query, d_key, d_value, None, None


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
    """Keys or values that the rows may look at."""
    return x[:, :, rows] if prompt is None else torch.cat((x[:, :, prompt], x[:, :, rows]), dim=2)


def _additive(rows: int, columns: int) -> Tensor | None:
    """The mask that the CPU kernel adds to the scores; None for whole causal squares."""
    return None if rows == columns else _additive_mask(rows, columns)


@lru_cache(maxsize=256)
def _additive_mask(rows: int, columns: int) -> Tensor:
    allowed = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
    return torch.zeros(rows, columns).masked_fill(~allowed, float("-inf"))


@lru_cache(maxsize=256)
def _lower_right(rows: int, columns: int, device: str) -> Tensor:
    """Boolean mask (rows, columns) in which the last row sees every column."""
    return torch.ones(rows, columns, dtype=torch.bool, device=device).tril(columns - rows)
