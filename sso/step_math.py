"""One optimizer step's arithmetic: from token log-probabilities to losses, sums and measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sso.batches import MicroBatch
from sso.logprobs import completion_sums
from sso.losses import PairLogps, objective_loss
from sso.objectives import Objective
from sso.reference_logprobs import References
from sso.settings import LossSettings


@dataclass(frozen=True)
class MicroResult:
    """Losses (groups,) with gradient, and detached sums that add up over micro-batches."""

    losses: Tensor
    sums: Mapping[str, float]


def pair_logps(logps: Tensor, reference: Tensor, batch: MicroBatch) -> dict[str, PairLogps]:
    """Pairs by role, each (groups,), from token log-probabilities (N,) of model and reference."""
    total = completion_sums(logps, batch.lengths)
    ref_total = completion_sums(reference, batch.lengths)
    tokens = torch.tensor(batch.lengths, dtype=total.dtype, device=total.device)
    pairs = {}
    for role, (chosen, rejected) in batch.pairs.items():
        c, r = chosen.to(total.device), rejected.to(total.device)
        pairs[role] = PairLogps(
            total[c], total[r], ref_total[c], ref_total[r], tokens[c], tokens[r]
        )
    return pairs


def micro_result(
    logps: Tensor,
    batch: MicroBatch,
    references: References,
    objective: Objective,
    settings: LossSettings,
) -> MicroResult:
    """The losses of a micro-batch and its share of the step's measures.

    ``margin/ROLE`` sums the reward margins: beta * (r(chosen) - r(rejected)), with averages per
    token for IPO; ``accuracy/ROLE`` counts margins above 0. ``kl`` sums over completion tokens the
    estimate exp(d) - 1 - d, d = logp - ref logp, of KL(ref || policy) at tokens drawn from
    the reference (Schulman, "Approximating KL divergence", estimator k3).
    """
    reference = torch.cat([references[g.id] for g in batch.groups]).to(logps.device)
    pairs = pair_logps(logps, reference, batch)
    losses = objective_loss(objective, pairs, settings)
    with torch.no_grad():
        difference = logps - reference
        sums = {
            "loss": losses.sum(),
            "groups": torch.tensor(float(len(batch.groups))),
            "kl": (difference.exp() - 1 - difference).sum(),
            "completion_tokens": torch.tensor(float(len(batch.targets))),
            "tokens": torch.tensor(float(batch.tokens)),
        }
        for role, pair in pairs.items():
            margin = reward_margins(pair, settings)
            sums[f"margin/{role}"] = margin.sum()
            sums[f"accuracy/{role}"] = (margin > 0).float().sum()
    return MicroResult(losses, {name: float(value) for name, value in sums.items()})


def reward_margins(pair: PairLogps, settings: LossSettings) -> Tensor:
    """beta * (r(chosen) - r(rejected)), (groups,); r per token for IPO, summed for DPO."""
    chosen, rejected = pair.log_ratios
    if settings.kind == "ipo":
        chosen, rejected = chosen / pair.chosen_tokens, rejected / pair.rejected_tokens
    return settings.beta * (chosen - rejected)


def measures_of(sums: Mapping[str, float]) -> dict[str, float]:
    """Means from sums: loss, margins and accuracies per group, KL (where there is one) per completion token."""
    per_group = {
        name: value / sums["groups"]
        for name, value in sums.items()
        if name == "loss" or "/" in name
    }
    if "kl" in sums:
        per_group["kl_to_ref"] = sums["kl"] / sums["completion_tokens"]
    return per_group


def training_order(n: int, epochs: float, batch_size: int, seed: int) -> list[list[int]]:
    """Indices of each optimizer batch: one seeded shuffle per epoch, a short last batch kept."""
    generator = torch.Generator().manual_seed(seed)
    left = max(1, round(epochs * n))
    batches: list[list[int]] = []
    while left > 0:
        order = torch.randperm(n, generator=generator).tolist()[:left]
        left -= len(order)
        batches += [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return batches
