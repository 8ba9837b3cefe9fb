"""How small a difference a comparison can see, and how surely it sees one of a given size.

Normal approximation throughout: with standard error s of the difference, a two-sided test at level
alpha has power Phi(|d| / s - z) + Phi(-|d| / s - z) against a true difference d, z = z_{1 - alpha/2}.
"""

from __future__ import annotations

import math
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


def items_needed(
    difference: float, sd_difference: float, *, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Items needed to find ``difference`` when single paired differences spread by ``sd_difference``."""
    if difference == 0:
        raise ValueError("no number of items can find a difference of zero")
    return math.ceil(
        (detectable_difference(sd_difference, power=power, alpha=alpha) / difference) ** 2
    )


def paired_sd_of_accuracy(accuracy: float, agreement: float) -> float:
    """Spread of single paired differences of two accuracies, in the unit of a share (0..1).

    ``agreement`` is the share of items on which both checkpoints are right or both wrong; about as
    accurate checkpoints differ by -1, 0 or 1 an item with variance 1 - agreement. Without pairing
    (independent answers) the variance is 2 p (1 - p).
    """
    if not 0 <= agreement <= 1:
        raise ValueError(f"agreement is a share between 0 and 1, not {agreement}")
    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy is a share between 0 and 1, not {accuracy}")
    return math.sqrt(min(1 - agreement, 2 * min(accuracy, 1 - accuracy)))
