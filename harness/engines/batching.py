"""Which prompts run together: a deterministic partition of a request list into batches.

The partition depends on the requests alone, never on what has been generated, so that a resumed
run can repeat the batches of the interrupted one. Prompts that begin alike (few-shot examples, one
question with several options) form a group whose common prefix is computed and stored once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MIN_PREFIX = 32


@dataclass(frozen=True)
class Group:
    """Items of one batch that share their first ``prefix`` tokens (0: they share nothing)."""

    prefix: int
    items: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Groups that are decoded together."""

    groups: tuple[Group, ...]

    @property
    def items(self) -> list[int]:
        """The items of all groups, in row order."""
        return [item for group in self.groups for item in group.items]


def plan_batches(
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    *,
    rows: int,
    slots: int,
    open_tail: Sequence[int] | None = None,
) -> list[Batch]:
    """Partition prompts (token ids; all lists, or all arrays) into batches of at most ``rows`` rows.

    ``slots`` bounds the tokens whose keys and values a batch may hold: each shared prefix once,
    and for each row its longest own part plus ``new_tokens``. A row that is too large alone still
    gets a batch. ``open_tail[i]`` tokens at the end of a prompt never count as shared (default 1:
    the last token is always the row's own).
    """
    tails = open_tail if open_tail is not None else [1] * len(prompts)
    groups = _prefix_groups(prompts, tails)
    batches = _pack(groups, prompts, new_tokens, rows, slots)
    if len(batches) > 1:
        # As many batches, but even ones: a last batch of two rows runs far below full speed.
        even = math.ceil(len(prompts) / len(batches))
        again = _pack(groups, prompts, new_tokens, min(rows, even), slots)
        if len(again) <= len(batches):
            batches = again
    return batches


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading tokens that two sequences share."""
    limit = min(len(a), len(b))
    if a[:limit] == b[:limit]:
        return limit
    low, high = 0, limit  # a[:low] equal, a[:high] not
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _prefix_groups(prompts: Sequence[Sequence[int]], tails: Sequence[int]) -> list[Group]:
    """Neighbours in lexicographic order that share at least half of their tokens, longest first."""
    comparable: Sequence[Any] = prompts
    order = sorted(range(len(prompts)), key=lambda i: (comparable[i], i))
    runs: list[tuple[int, list[int]]] = []
    for item in order:
        limit = max(0, len(prompts[item]) - tails[item])
        if runs:
            shared, members = runs[-1]
            shared = min(shared, limit, common_prefix(prompts[members[-1]], prompts[item]))
            shorter = min(len(prompts[members[0]]), len(prompts[item]))
            if shared >= MIN_PREFIX and 2 * shared >= shorter:
                members.append(item)
                runs[-1] = (shared, members)
                continue
        runs.append((limit, [item]))

    def by_length(items: list[int]) -> tuple[int, ...]:
        return tuple(sorted(items, key=lambda i: (-len(prompts[i]), i)))

    grouped = [Group(shared, by_length(members)) for shared, members in runs if len(members) > 1]
    grouped.sort(key=lambda g: (-len(prompts[g.items[0]]), g.items[0]))
    alone = [members[0] for _, members in runs if len(members) == 1]
    return [*grouped, Group(0, by_length(alone))] if alone else grouped


def _pack(
    groups: Sequence[Group],
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    rows: int,
    slots: int,
) -> list[Batch]:
    batches: list[Batch] = []
    current: list[Group] = []
    count = prefixes = longest = 0
    for group in groups:
        taken: list[int] = []
        for item in group.items:
            own = len(prompts[item]) - group.prefix
            prefix = 0 if taken else group.prefix
            need = prefixes + prefix + (count + 1) * (max(longest, own) + new_tokens)
            if count and (count >= rows or need > slots):
                if taken:
                    current.append(Group(group.prefix, tuple(taken)))
                batches.append(Batch(tuple(current)))
                current, taken, count, prefixes, longest = [], [], 0, 0, 0
                prefix = group.prefix
            taken.append(item)
            count, prefixes, longest = count + 1, prefixes + prefix, max(longest, own)
        if taken:
            current.append(Group(group.prefix, tuple(taken)))
    if current:
        batches.append(Batch(tuple(current)))
    return batches
