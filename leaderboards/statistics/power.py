"""How small a difference a comparison can see, and how surely it sees one of a given size.

Normal approximation throughout: with standard error s of the difference, a two-sided test at level
alpha has power Phi(|d| / s - z) + Phi(-|d| / s - z) against a true difference d, z = z_{1 - alpha/2}.
"""

from __future__ import annotations

from statistics import NormalDist

_NORMAL = NormalDist()


def detectable_difference(
    se_difference: float, *, power: float = 0.8, alpha: float = 0.05, comparisons: int = 1
) -> float:
    """Smallest true difference found with probability ``power`` (two-sided level ``alpha``).

    ``se_difference`` is the standard error of the (paired) difference; the result has its unit.
    ``comparisons`` > 1 tightens alpha as Bonferroni does.
    """
    z = _NORMAL.inv_cdf(1 - alpha / comparisons / 2) + _NORMAL.inv_cdf(power)
    return z * se_difference


def achieved_power(
    difference: float, se_difference: float, *, alpha: float = 0.05, comparisons: int = 1
) -> float:
    """Probability that a two-sided test finds a true ``difference`` of the given standard error."""
    if se_difference <= 0:
        return 1.0 if difference else alpha
    z = _NORMAL.inv_cdf(1 - alpha / comparisons / 2)
    shift = abs(difference) / se_difference
    return _NORMAL.cdf(shift - z) + _NORMAL.cdf(-shift - z)
