"""Which groups of an optimizer step each process computes, and in which forward pass.

All processes make the same number of passes, because sharded models meet in every one of them; the passes
that meet hold about as many tokens on every process, the longest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sso.encoding import EncodedBranch, EncodedGroup
from sso.fast_forward import ForwardPlan


def rounds(
    groups: Sequence[EncodedGroup], plan: ForwardPlan, micro_tokens: int, world: int
) -> list[list[list[EncodedGroup]]]:
    """Rounds of ``world`` bins each, one per process; a bin is one forward pass, an empty one an idle process.

    A bin has at most ``micro_tokens`` tokens (a longer group is alone in its own). One process packs as few
    bins as it can; several get at least one bin each where there are as many groups.
    """
    bins = plan.bins(groups, micro_tokens)
    if world == 1:
        return [[bin_] for bin_ in bins]
    packed = [group for group in groups if plan.packs(group)]
    rest = [bin_ for bin_ in bins if not plan.packs(bin_[0])]
    bins = [*_even_bins(packed, micro_tokens, world, len(rest)), *rest]
    bins.sort(key=_tokens, reverse=True)
    bins += [[] for _ in range(-len(bins) % world)]
    return [bins[at : at + world] for at in range(0, len(bins), world)]


def smallest(groups: Sequence[EncodedGroup]) -> EncodedGroup:
    """A few tokens of the shortest group: what a process computes, with no weight, when it has no bin."""
    group = min(groups, key=lambda g: g.packed_tokens)
    branch = group.branches[0]
    one = EncodedBranch(branch.prompt[:1], tuple(c[:1] for c in branch.completions[:2]))
    return replace(group, branches=(one,), pairs={})


def _even_bins(
    groups: Sequence[EncodedGroup], micro_tokens: int, world: int, beside: int
) -> list[list[EncodedGroup]]:
    """The groups in bins of about equal size, as many as make whole rounds with the ``beside`` others."""
    if not groups:
        return []
    order = sorted(groups, key=lambda g: -g.packed_tokens)
    limit = max(micro_tokens, order[0].packed_tokens)
    needed = -(-sum(g.packed_tokens for g in groups) // limit)
    count = -(-(needed + beside) // world) * world - beside
    while True:
        count = min(count, len(order))
        bins: list[list[EncodedGroup]] = [[] for _ in range(count)]
        for group in order:
            min(bins, key=_tokens).append(group)
        if count == len(order) or max(map(_tokens, bins)) <= limit:
            return bins
        count += world


def _tokens(bin_: Sequence[EncodedGroup]) -> int:
    return sum(group.packed_tokens for group in bin_)
