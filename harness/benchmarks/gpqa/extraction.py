"""GPQA: the order of the options, and lm-eval's strict reading of a letter. Pure functions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

LETTERS = "ABCD"


def option_order(item_id: str, seed: int, permutation: int = 0) -> tuple[int, ...]:
    """Which answer stands at A, B, C, D: 0 is the correct one, 1 to 3 the wrong ones.

    Sorted by a hash of the item, the seed and the answer's number, so that it depends on nothing
    that ran before. Permutation k is that order rotated by k places: over four permutations the
    correct answer stands at each letter once.
    """
    order = sorted(range(len(LETTERS)), key=lambda n: _hash(f"{seed}:{item_id}:{n}"))
    turn = permutation % len(order)
    return tuple(order[turn:] + order[:turn])


def correct_letter(order: Sequence[int]) -> str:
    """The letter of the correct answer in an order."""
    return LETTERS[list(order).index(0)]


def strict(text: str) -> str | None:
    """The letter of the first "answer is (X)" in exactly this form."""
    found = re.search(r"answer is \(?([A-D])\)?(?![A-Za-z])", text)
    return found.group(1) if found else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
