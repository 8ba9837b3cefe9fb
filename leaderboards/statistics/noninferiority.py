"""One-sided questions of a regression gate: is it worse, and by how much at most?

All differences are second minus first; a loss is negative.
"""

from __future__ import annotations

import math

from leaderboards.statistics.paired import one_sided_p, quantile


def p_worse(difference: float, stderr: float, df: float) -> float:
    """One-sided p-value of "no loss" against "a loss" for an estimated difference (t or normal)."""
    if not stderr > 0:
        return 0.0 if stderr == 0 and difference < 0 else 1.0
    return one_sided_p(-difference / stderr, df)


def p_worse_counts(lost: int, gained: int) -> float:
    """Exact one-sided McNemar p-value: P(at least ``lost`` of the changed items lost | fair coin)."""
    from scipy.special import bdtr

    # By symmetry P(X >= lost) = P(X <= gained) for a fair coin.
    return float(bdtr(gained, lost + gained, 0.5)) if lost + gained else 1.0


def lower_bound(difference: float, stderr: float, df: float, alpha: float = 0.05) -> float:
    """Lower one-sided 1 - alpha confidence bound of a difference (t or normal); -inf if unknown."""
    if not stderr >= 0 or (stderr > 0 and df < 1):
        return -math.inf
    return difference - (quantile(1 - alpha, df) * stderr if stderr > 0 else 0.0)


def lower_bound_counts(
    lost: float,
    gained: float,
    n: int,
    alpha: float = 0.05,
    seeds: int = 1,
    seed_stderr: float = 0.0,
) -> float:
    """Lower one-sided bound of (gained - lost) / n, in shares of the items.

    Agresti and Min (2005): half an item is added to each of the four cells, which keeps the bound
    honest where few items or none changed. Over several seeds ``lost`` and ``gained`` are means, and
    the spread between seeds (``seed_stderr``, t with ``seeds`` - 1 degrees of freedom) is added to the
    items' half width in quadrature.
    """
    total = n + 2
    difference = (gained - lost) / total
    variance = (lost + gained + 1) / total - difference**2
    items = quantile(1 - alpha, math.inf) * math.sqrt(variance / total)
    between = quantile(1 - alpha, seeds - 1) * seed_stderr if seed_stderr > 0 else 0.0
    return difference - math.hypot(items, between)


def lower_bound_unchanged(n: int, span: float, alpha: float = 0.05) -> float:
    """Lower bound where all n items came out the same: a share of at most -ln(alpha) / n of all
    items may still change, each by at most ``span`` (the rule of three)."""
    return -span * min(1.0, -math.log(alpha) / n) if n else -math.inf
