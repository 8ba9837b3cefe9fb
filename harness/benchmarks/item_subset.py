"""Which items a limit keeps: a seeded, stratified sample, the same for every checkpoint."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def draw(
    items: Sequence[Item], stratum: Callable[[Item], str], limit: int | None, seed: int
) -> list[Item]:
    """At most ``limit`` items in file order, each stratum with its share (largest remainder).

    Ties between remainders and the choice within a stratum come from ``seed`` alone, so that every
    checkpoint of a comparison gets the same items.
    """
    if limit is None or limit >= len(items):
        return list(items)
    rng = random.Random(f"items:{seed}")
    strata: dict[str, list[int]] = {}
    for position, item in enumerate(items):
        strata.setdefault(stratum(item), []).append(position)
    shares = {name: limit * len(rows) / len(items) for name, rows in strata.items()}
    counts = {name: int(share) for name, share in shares.items()}
    order = sorted(strata, key=lambda name: (counts[name] - shares[name], rng.random()))
    for name in order[: limit - sum(counts.values())]:
        counts[name] += 1
    chosen = [p for name, rows in strata.items() for p in rng.sample(rows, counts[name])]
    return [items[position] for position in sorted(chosen)]
