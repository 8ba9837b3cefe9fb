"""Shares of few items: intervals and errors that do not vanish at 0 or 100 %."""

from __future__ import annotations

import math

Z = 1.959964
FEW = 10
"""Below this many right, or wrong, answers the plain standard error of a share is too small."""


def wilson(right: float, n: int, z: float = Z) -> tuple[float, float]:
    """Wilson's score interval of the share ``right / n`` (0..1)."""
    share, z2 = right / n, z * z
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, center - half), min(1.0, center + half)


def agresti_coull_error(right: float, n: int) -> float:
    """Standard error of the share ``right / n`` with two right and two wrong answers added (Agresti and
    Coull, 1998)."""
    share = (right + 2) / (n + 4)
    return math.sqrt(share * (1 - share) / (n + 4))


def count_behind(value: float, stderr: float | None, n: int) -> int | None:
    """How many of n answers are right behind a percentage and its plain standard error; None where the
    figure is no share of right answers (ratings, weights, clusters)."""
    right = round(value / 100 * n)
    if n < 1 or abs(100 * right / n - value) > 1e-6:
        return None
    share = right / n
    plain = 100 * math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else 0.0
    return right if abs((stderr or 0.0) - plain) <= 1e-6 * max(1.0, plain) else None
