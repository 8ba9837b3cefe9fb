"""Choosing the next token of every row of a batch.

Each row draws its own uniform number from (seed, step): no shared random state, so a row's choice
does not depend on which rows it runs with, in what order, or where a run was interrupted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

HEAD_TOKENS = 64
"""The nucleus is first looked for among this many most likely tokens."""


def uniforms(seeds: np.ndarray, step: int) -> np.ndarray:
    """One number in [0, 1) per seed (uint64), for generation step ``step``.

    A counter-based generator: two rounds of the SplitMix64 finaliser over seed and counter (Steele,
    Lea and Flood, 2014), the upper 53 bits as a double.
    """
    with np.errstate(over="ignore"):
        state = _mix(seeds.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
        state = _mix(state + np.uint64(step + 1) * np.uint64(0x9E3779B97F4A7C15))
    return (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _mix(z: np.ndarray) -> Any:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def pick(
    logits: torch.Tensor, temperature: float, top_p: float, uniform: np.ndarray | None
) -> torch.Tensor:
    """Next token ids (rows,) from ``logits`` (rows, vocabulary).

    ``temperature`` 0 takes the argmax. Otherwise the smallest set of most likely tokens whose
    probabilities sum to at least ``top_p`` (nucleus sampling, Holtzman et al., 2020), renormalised,
    read by inverse distribution function at ``uniform`` (rows,), tokens in order of falling probability.
    """
    import torch

    if temperature == 0:
        return logits.argmax(dim=-1)
    assert uniform is not None
    scaled = logits.float() / temperature
    draws = torch.from_numpy(uniform).to(scaled.device)
    count = min(HEAD_TOKENS, scaled.shape[-1])
    values, ids = scaled.topk(count, dim=-1)
    total = scaled.logsumexp(dim=-1, keepdim=True)
    probabilities = (values - total).double().exp()
    chosen, inside = _inverse(probabilities, ids, top_p, draws, whole=count == scaled.shape[-1])
    if not bool(inside.all()):
        # A flat distribution, or top_p 1: these rows need the whole vocabulary in order.
        rows = (~inside).nonzero().flatten()
        values, ids = scaled[rows].sort(dim=-1, descending=True, stable=True)
        wide = (values - total[rows]).double().exp()
        chosen[rows], _ = _inverse(wide, ids, top_p, draws[rows], whole=True)
    return chosen


def _inverse(
    probabilities: torch.Tensor,
    ids: torch.Tensor,
    top_p: float,
    draws: torch.Tensor,
    *,
    whole: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The drawn id of each row, and whether the columns given were enough to draw it."""
    import torch

    running = probabilities.cumsum(dim=-1)
    before = running - probabilities
    kept = before < top_p
    kept[:, 0] = True
    mass = torch.where(kept, probabilities, 0.0).sum(dim=-1)
    if top_p < 1:
        enough = running[:, -1] >= top_p
        target = draws * mass
    else:
        # Without a nucleus the mass is 1: the columns are enough when the draw falls among them.
        target = draws if not whole else draws * mass
        enough = target < running[:, -1]
    if whole:
        enough = torch.ones_like(enough)
    position = (running <= target[:, None]).sum(dim=-1)
    last = kept.sum(dim=-1) - 1
    position = torch.minimum(position, last)
    return ids.gather(1, position[:, None])[:, 0], enough
