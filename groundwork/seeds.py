"""Seeds that depend on what an item is, never on where it stands or on global random state."""

from __future__ import annotations

import hashlib
import random

SEED_BITS = 31
"""Small enough for every engine (some servers take 32-bit signed seeds)."""


def item_seed(seed: int, iteration: int, item_id: str, role: str) -> int:
    """The seed of one item in one role, the same in any order, subset or resumed run.

    A hash of all four parts: a non-negative integer below 2**31.
    """
    text = "\x1f".join((str(seed), str(iteration), item_id, role))
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


def item_random(seed: int, iteration: int, item_id: str, role: str) -> random.Random:
    """A random generator of this item's own, from ``item_seed``."""
    return random.Random(item_seed(seed, iteration, item_id, role))
