"""Micro-batches: all completions of a prompt packed behind that prompt once, or plain rows.

The packed form is one sequence of T tokens (batch dimension 1): for every branch its prompt, then its
completions one after another, each without its last token (which predicts nothing). A
completion's position ids go on from the end of its prompt, and it sees that prompt and itself
only (``sso.packed_attention``). The plain form has one right-padded row per completion and needs nothing of a
model but that padding on the right is harmless. Both predict the same tokens in the same order:
groups, then branches, then completions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sso.encoding import EncodedGroup


@dataclass(frozen=True)
class BranchLayout:
    """Where a branch lies in the packed sequence: lengths, in order, from ``start``."""

    start: int
    prompt: int
    completions: tuple[int, ...]


@dataclass(frozen=True)
class PackedLayout:
    """The block-causal structure of a packed sequence, branch by branch."""

    branches: tuple[BranchLayout, ...]
    tokens: int

    def mask(self) -> Tensor:
        """The dense mask (tokens, tokens), True where a row may look: what attention must equal."""
        allowed = torch.zeros(self.tokens, self.tokens, dtype=torch.bool)
        for branch in self.branches:
            end = branch.start + branch.prompt
            prompt = slice(branch.start, end)
            allowed[prompt, prompt] = torch.ones(branch.prompt, branch.prompt).tril().bool()
            for length in branch.completions:
                own = slice(end, end + length)
                allowed[own, prompt] = True
                allowed[own, own] = torch.ones(length, length).tril().bool()
                end += length
        return allowed


@dataclass(frozen=True)
class MicroBatch:
    """Token ids of some groups and where their completion tokens are predicted.

    ``input_ids``, ``position_ids`` (B, L); ``attention_mask`` (B, L) for plain rows, else None and
    ``layout`` holds the structure. ``rows`` (N,) are indices into the flattened B*L positions whose
    output predicts ``targets`` (N,), the completion tokens of all completions one after another;
    ``lengths`` their counts. ``pairs`` maps a role to completion indices (chosen, rejected), each
    (groups,).
    """

    groups: tuple[EncodedGroup, ...]
    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor | None
    layout: PackedLayout | None
    rows: Tensor
    targets: Tensor
    lengths: tuple[int, ...]
    pairs: Mapping[str, tuple[Tensor, Tensor]]

    @property
    def tokens(self) -> int:
        """Tokens that go through the model, padding included."""
        return self.input_ids.numel()


def pack_groups(
    groups: Sequence[EncodedGroup], micro_tokens: int, *, shared_prefix: bool = True
) -> list[list[EncodedGroup]]:
    """Split groups, order kept within a bin, into bins of at most ``micro_tokens`` tokens.

    First fit on groups sorted by falling length, so that few bins are needed; a group longer than
    the budget is alone in its bin (a group is never split, its loss needs all its parts).
    """

    def size(group: EncodedGroup) -> int:
        if shared_prefix:
            return group.packed_tokens
        rows = [len(b.prompt) + len(c) - 1 for b in group.branches for c in b.completions]
        return max(rows) * len(rows)

    bins: list[tuple[int, list[int]]] = []
    for i in sorted(range(len(groups)), key=lambda i: (-size(groups[i]), i)):
        need = size(groups[i])
        for at, (used, members) in enumerate(bins):
            if used + need <= micro_tokens:
                bins[at] = (used + need, [*members, i])
                break
        else:
            bins.append((need, [i]))
    return [[groups[i] for i in sorted(members)] for _, members in bins]


def packed_batch(groups: Sequence[EncodedGroup]) -> MicroBatch:
    """The shared-prefix form of some groups."""
    ids: list[int] = []
    positions: list[int] = []
    rows: list[int] = []
    targets: list[int] = []
    layouts: list[BranchLayout] = []
    for branch in _branches(groups):
        start, prompt = len(ids), len(branch.prompt)
        ids += branch.prompt
        positions += range(prompt)
        for completion in branch.completions:
            rows += [start + prompt - 1, *range(len(ids), len(ids) + len(completion) - 1)]
            targets += completion
            ids += completion[:-1]
            positions += range(prompt, prompt + len(completion) - 1)
        lengths = tuple(len(c) - 1 for c in branch.completions)
        layouts.append(BranchLayout(start, prompt, lengths))
    return MicroBatch(
        groups=tuple(groups),
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([positions]),
        attention_mask=None,
        layout=PackedLayout(tuple(layouts), len(ids)),
        rows=torch.tensor(rows),
        targets=torch.tensor(targets),
        lengths=_lengths(groups),
        pairs=_pair_indices(groups),
    )


def plain_batch(groups: Sequence[EncodedGroup], pad: int = 0) -> MicroBatch:
    """One right-padded row per completion, each with its prompt in front."""
    sequences = [(b.prompt, c) for b in _branches(groups) for c in b.completions]
    width = max(len(p) + len(c) - 1 for p, c in sequences)
    input_ids = torch.full((len(sequences), width), pad)
    mask = torch.zeros(len(sequences), width, dtype=torch.long)
    rows: list[int] = []
    targets: list[int] = []
    for i, (prompt, completion) in enumerate(sequences):
        ids = [*prompt, *completion[:-1]]
        input_ids[i, : len(ids)] = torch.tensor(ids)
        mask[i, : len(ids)] = 1
        first = i * width + len(prompt) - 1
        rows += range(first, first + len(completion))
        targets += completion
    return MicroBatch(
        groups=tuple(groups),
        input_ids=input_ids,
        position_ids=torch.arange(width).expand(len(sequences), width),
        attention_mask=mask,
        layout=None,
        rows=torch.tensor(rows),
        targets=torch.tensor(targets),
        lengths=_lengths(groups),
        pairs=_pair_indices(groups),
    )


def single_rows(batch: MicroBatch) -> list[MicroBatch]:
    """Every row of a plain batch as a batch of its own, without its padding, in order.

    ``groups`` and ``pairs`` stay those of the whole batch.
    """
    width = batch.input_ids.shape[1]
    found = []
    for row, mask in enumerate(batch.attention_mask if batch.attention_mask is not None else []):
        length = int(mask.sum())
        here = batch.rows // width == row
        found.append(
            replace(
                batch,
                input_ids=batch.input_ids[row : row + 1, :length],
                position_ids=batch.position_ids[row : row + 1, :length],
                attention_mask=mask[None, :length],
                rows=batch.rows[here] - row * width,
                targets=batch.targets[here],
                lengths=(batch.lengths[row],),
            )
        )
    return found


def _branches(groups: Sequence[EncodedGroup]) -> Iterable:
    return (branch for group in groups for branch in group.branches)


def _lengths(groups: Sequence[EncodedGroup]) -> tuple[int, ...]:
    return tuple(len(c) for branch in _branches(groups) for c in branch.completions)


def _pair_indices(groups: Sequence[EncodedGroup]) -> dict[str, tuple[Tensor, Tensor]]:
    """Role -> indices of the chosen and the rejected completion of every group that has the role."""
    indices: dict[str, tuple[list[int], list[int]]] = {}
    offset = 0
    for group in groups:
        starts = []
        for branch in group.branches:
            starts.append(offset)
            offset += len(branch.completions)
        for role, pair in group.pairs.items():
            chosen, rejected = indices.setdefault(role, ([], []))
            chosen.append(starts[pair.branch] + pair.chosen)
            rejected.append(starts[pair.branch] + pair.rejected)
    return {role: (torch.tensor(c), torch.tensor(r)) for role, (c, r) in indices.items()}
