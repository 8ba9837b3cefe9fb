"""Log-probabilities of completion tokens, the vocabulary only where a completion token is predicted.

The output layer runs on the N rows that predict a completion token, in chunks, and its backward pass
recomputes a chunk's logits from the hidden states: the (tokens, vocabulary) matrix, by far the largest
tensor of a preference step, never exists as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from groundwork import cpu_kernels as kernels

CHUNK_BYTES = 128 * 2**20
"""Bytes of the logits of one chunk."""

LEAN_CHUNK_BYTES = 16 * 2**20
"""The same where memory matters more than speed (gradient checkpointing)."""

GPU_ROWS = 1024
"""Rows of a chunk at least, on a GPU: shorter products leave most of it idle."""


class _ChunkedLogprobs(torch.autograd.Function):
    """log softmax(hidden @ weight.T + bias)[target] per row, chunk by chunk in both directions.

    The last chunk's probabilities are kept for the backward pass when it is the only one.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, rows: int
    ) -> Tensor:
        logps = hidden.new_empty(hidden.shape[0], dtype=torch.float32)
        lse = torch.empty_like(logps)
        kept = None
        for at in range(0, hidden.shape[0], rows):
            part = slice(at, at + rows)
            logits = _logits(hidden[part], weight, bias)
            # a few rows at a time: logsumexp makes a copy of what it is given
            lse[part] = torch.cat([torch.logsumexp(few, dim=-1) for few in logits.split(32)])
            logps[part] = logits.gather(1, targets[part, None]).squeeze(1) - lse[part]
            kept = logits
        saved = [hidden, weight, targets, lse] + ([bias] if bias is not None else [])
        if hidden.shape[0] <= rows and kept is not None:
            saved.append(kept)
        ctx.save_for_backward(*saved)
        ctx.rows, ctx.has_bias = rows, bias is not None
        ctx.into = kernels.in_place_gradient(weight) if ctx.needs_input_grad[1] else None
        return logps

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        hidden, weight, targets, lse, *rest = ctx.saved_tensors
        bias = rest.pop(0) if ctx.has_bias else None
        kept = rest.pop(0) if rest else None
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        d_hidden = torch.empty_like(hidden) if need_hidden else None
        d_weight: Tensor | None = None
        d_bias = (
            torch.zeros_like(bias, dtype=torch.float32) if bias is not None and need_bias else None
        )
        for at in range(0, hidden.shape[0], ctx.rows):
            part = slice(at, at + ctx.rows)
            # a kept chunk is used up: a second backward pass is torch's version error, never wrong
            logits = kept if kept is not None else _logits(hidden[part], weight, bias)
            # d logp / d logits = onehot(target) - softmax(logits)
            d_logits = logits.sub_(lse[part, None]).exp_().mul_(-grad[part, None])
            d_logits.scatter_add_(1, targets[part, None], grad[part, None])
            d_logits = d_logits.to(hidden.dtype)
            if d_hidden is not None:
                d_hidden[part] = d_logits @ weight
            if ctx.into is not None:
                ctx.into.addmm_(d_logits.t(), hidden[part])
            elif need_weight:
                increment = d_logits.t() @ hidden[part]
                if hidden.shape[0] > ctx.rows:
                    # sums of many chunks in float32: bfloat16 would lose a percent of them
                    increment = increment.float()
                d_weight = increment if d_weight is None else d_weight.add_(increment)
            if d_bias is not None:
                d_bias += d_logits.sum(0, dtype=torch.float32)
        if d_weight is not None:
            d_weight = d_weight.to(weight.dtype)
        if bias is not None and d_bias is not None:
            d_bias = d_bias.to(bias.dtype)
        return d_hidden, d_weight, d_bias, None, None


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    logits = hidden @ weight.t()
    return (logits if bias is None else logits + bias).float()


def token_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Tensor:
    """Log-probability of each target: hidden (N, d), weight (V, d), targets (N,) -> (N,) float32."""
    least = GPU_ROWS if hidden.is_cuda else 1
    rows = max(least, chunk_bytes // (4 * weight.shape[0]))
    # equal chunks: a short last one would run the matrix products at a fraction of their speed
    chunks = -(-hidden.shape[0] // rows)
    rows = -(-hidden.shape[0] // max(1, chunks))
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):
        # cast here: inside the function autocast would reach the forward pass only
        dtype = torch.get_autocast_dtype(kind)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    with torch.autocast(kind, enabled=False):
        return _ChunkedLogprobs.apply(hidden, weight, bias, targets, max(1, rows))


def whole_logprobs(logits: Tensor, targets: Tensor) -> Tensor:
    """The same from whole logits (N, V): for models whose output layer does more than a product."""
    return torch.log_softmax(logits.float(), dim=-1).gather(1, targets[:, None]).squeeze(1)


def completion_sums(logps: Tensor, lengths: Sequence[int]) -> Tensor:
    """Sums over each completion's tokens, (completions,) from (N,); same order on every device."""
    return torch.stack([part.sum() for part in logps.split(list(lengths))])
