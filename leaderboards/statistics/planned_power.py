"""What a planned comparison will be able to see, before anything runs.

The spread of single paired differences is what two neighbouring checkpoints typically show; measured
runs replace it by their own (every table prints its detectable differences).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from leaderboards.benchmark_info import BenchmarkInfo
from leaderboards.statistics.power import achieved_power, detectable_difference


@dataclass(frozen=True)
class Prospect:
    """``detectable``: found with 80 % power (two-sided 5 %), in the headline figure's unit.

    ``power``: probability to find a loss or gain of ``effect``.
    """

    benchmark: str
    items: int
    detectable: float
    effect: float
    power: float


def prospect(
    info: BenchmarkInfo, items: int, effect: float | None = None, comparisons: int = 1
) -> Prospect:
    """What a paired comparison on ``items`` items of a benchmark can see.

    ``effect`` is the difference of interest (default: the smallest loss that matters);
    ``comparisons`` > 1 corrects for testing that many.

    Raises:
        ValueError: fewer than one item.
    """
    if items < 1:
        raise ValueError(f"a comparison needs items, not {items}")
    stderr = info.spread * math.sqrt(info.design_effect / items)
    wanted = (info.minimum_effect or 3.0) if effect is None else effect
    return Prospect(
        info.title,
        items,
        detectable_difference(stderr, comparisons=comparisons),
        wanted,
        achieved_power(wanted, stderr, comparisons=comparisons),
    )
