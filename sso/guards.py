"""Stops a training at the first number that is not finite, naming the pairs it came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from groundwork.errors import UserError
from sso.encoding import EncodedGroup

_SHOWN = 8


def pair_ids(groups: Iterable[EncodedGroup]) -> list[str]:
    """Ids of all pairs of some groups, in order."""
    return [pair.id for group in groups for pair in group.pairs.values()]


def check_losses(losses: Tensor, groups: Sequence[EncodedGroup], step: int) -> None:
    """``UserError`` naming the pairs of every group whose loss, (groups,), is not finite."""
    finite = torch.isfinite(losses.detach())
    if bool(finite.all()):
        return
    bad = [group for group, ok in zip(groups, finite.tolist(), strict=True) if not ok]
    raise UserError(f"step {step}: the loss is not finite for pairs {_listed(pair_ids(bad))}")


def gradient_error(groups: Sequence[EncodedGroup], step: int, *, found: bool) -> UserError:
    """The error for a gradient that is not finite: with ``found`` the groups are the culprits."""
    what = "for pairs" if found else "in the batch of pairs"
    return UserError(f"step {step}: the gradient is not finite {what} {_listed(pair_ids(groups))}")


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(repr(i) for i in ids[:_SHOWN]) + more
