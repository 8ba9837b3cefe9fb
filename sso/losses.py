"""The losses of docs/method.md: plain torch functions of log-probabilities and lengths, one value per sample.

No models, no batches. All tensors of a call have shape (n,), one entry per sample
(prompt group); log-probabilities are in nats, summed over the completion's tokens, the end-of-turn
token included; ``tokens`` are the counts of those tokens. Every function returns shape (n,), so that a
sample's loss cannot depend on its batch mates; the mean over the optimizer batch is taken outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sso.objectives import Objective
from sso.settings import LossSettings


@dataclass(frozen=True)
class PairLogps:
    """Log-probabilities of n pairs of one role, under the trained model and the reference."""

    chosen: Tensor
    rejected: Tensor
    ref_chosen: Tensor
    ref_rejected: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor

    @property
    def chosen_average(self) -> Tensor:
        """Average log-probability of a chosen token, nats."""
        return self.chosen / self.chosen_tokens

    @property
    def rejected_average(self) -> Tensor:
        """Average log-probability of a rejected token, nats."""
        return self.rejected / self.rejected_tokens

    @property
    def log_ratios(self) -> tuple[Tensor, Tensor]:
        """r(chosen), r(rejected): summed log-ratio to the reference, nats."""
        return self.chosen - self.ref_chosen, self.rejected - self.ref_rejected


def dpo_loss(pair: PairLogps, beta: float) -> Tensor:
    """-log sigmoid(beta * (r(chosen) - r(rejected))), summed log-probabilities.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), equation 7.
    """
    chosen, rejected = pair.log_ratios
    return -F.logsigmoid(beta * (chosen - rejected))


def ipo_loss(pair: PairLogps, beta: float) -> Tensor:
    """(d - 1 / (2 beta))^2, d the difference of the average (per token) log-ratios.

    Source: Azar et al. 2023 (arXiv 2310.12036), equation 17, with tau = beta; averages instead of
    sums are what its authors confirmed, so that the loss does not scale with length.
    """
    chosen, rejected = pair.log_ratios
    difference = chosen / pair.chosen_tokens - rejected / pair.rejected_tokens
    return (difference - 1 / (2 * beta)) ** 2


def base_loss(pair: PairLogps, kind: Literal["ipo", "dpo"], beta: float) -> Tensor:
    """L_base by name."""
    return ipo_loss(pair, beta) if kind == "ipo" else dpo_loss(pair, beta)


def sso_loss(plus: PairLogps, minus: PairLogps, settings: LossSettings) -> Tensor:
    """L_gen = L+ + L- - gamma * (avg logp(y+ | x+) + avg logp(chosen of L- | x-)).

    L+ = L_base(x+; y+ > y-) of the ``plus`` pairs and L- of the ``minus`` pairs, under x-. With
    L- = L_base(x-; yo > y+), and so avg logp(yo | x-) in the gamma term, this trains the data generator
    of SSO (arXiv 2410.17131, second version); with L- = L_base(x-; y- > y+) that of the modified
    PBAA. Notation: docs/method.md.
    """
    l_plus = base_loss(plus, settings.kind, settings.beta)
    l_minus = base_loss(minus, settings.kind, settings.beta)
    return l_plus + l_minus - settings.gamma * (plus.chosen_average + minus.chosen_average)


def side_loss(pair: PairLogps, settings: LossSettings) -> Tensor:
    """L_base - gamma avg logp(chosen), under x+ or x- alone: one half of ``sso_loss``."""
    loss = base_loss(pair, settings.kind, settings.beta)
    return loss - settings.gamma * pair.chosen_average


def self_steering_weight(query: PairLogps, alpha: float, *, gradient: bool = True) -> Tensor:
    """W = sigmoid(-(alpha * avg logp(chosen) + (1 - alpha) * avg logp(rejected))), under x.

    Source: arXiv 2410.17131, first version, the weight W of the on-policy term. ``gradient``
    False detaches it; the authors' code lets the gradient through.
    """
    weight = torch.sigmoid(-(alpha * query.chosen_average + (1 - alpha) * query.rejected_average))
    return weight if gradient else weight.detach()


def joint_loss(
    query: PairLogps,
    plus: PairLogps | None,
    minus: PairLogps | None,
    settings: LossSettings,
    *,
    use_w: bool = True,
    use_g: bool = True,
) -> Tensor:
    """L_base(x; y+ > y-) + W * beta_g * (L+ + L-), per sample (first version's SSO loss).

    L+ = L_base(x+; y+ > y-) and L- = L_base(x-; yo > y+). ``use_w`` False puts W = 1. ``use_g`` False
    leaves W * L_base(x; y+ > y-): the two ablations of the paper. ``plus`` and ``minus`` may be None
    only without G. Notation: docs/method.md.
    """
    loss = base_loss(query, settings.kind, settings.beta)
    weight = torch.ones_like(loss)
    if use_w:
        weight = self_steering_weight(query, settings.alpha, gradient=settings.w_gradient)
    if not use_g:
        return weight * loss
    if plus is None or minus is None:
        raise ValueError("the joint loss with G needs the pairs of both principles")
    l_plus = base_loss(plus, settings.kind, settings.beta)
    l_minus = base_loss(minus, settings.kind, settings.beta)
    return loss + weight * settings.beta_g * (l_plus + l_minus)


def objective_loss(
    objective: Objective, pairs: Mapping[str, PairLogps], settings: LossSettings
) -> Tensor:
    """The loss of each group, shape (groups,), from its pairs by role (``Objective.kinds``)."""
    if objective.name == "pair":
        return base_loss(pairs["policy"], settings.kind, settings.beta)
    if objective.name == "generator":
        return sso_loss(pairs["generator-good"], pairs["generator-bad"], settings)
    if objective.name in ("generator-plus", "generator-minus"):
        return side_loss(pairs[objective.kinds[0]], settings)
    return joint_loss(
        pairs["policy"],
        pairs.get("generator-good"),
        pairs.get("generator-bad"),
        settings,
        use_w=objective.use_w,
        use_g=objective.use_g,
    )
