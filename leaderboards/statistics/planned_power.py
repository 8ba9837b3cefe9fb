"""What a planned comparison will be able to see, before anything runs.

The spread of single paired differences is what two neighbouring checkpoints typically show; measured
runs replace it by their own (every table prints its detectable differences).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from leaderboards.statistics.power import achieved_power, detectable_difference

SPREADS: dict[str, tuple[float, float]] = {
    "gsm8k": (39.0, 1.0),
    "math": (49.0, 1.0),
    "gpqa": (50.0, 1.0),
    "mmlu_pro": (47.0, 1.0),
    "mmlu": (47.0, 1.0),
    "ifeval": (42.0, 1.0),
    "alpaca_eval": (35.5, 1.0),
    "mt_bench": (2.3, 1.4),
    "pair_accuracy": (60.0, 1.0),
}
"""Benchmark to (standard deviation of a paired difference, design effect of clusters).

Accuracies: 100 * sqrt(share of items that change), e.g. 15 % of GSM8K. MT-Bench: points between two
ratings of one turn; the two turns of a question are correlated (design effect 1 + rho).
"""


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
    benchmark: str, items: int, effect: float | None = None, comparisons: int = 1
) -> Prospect:
    """What a paired comparison on ``items`` items can see.

    ``effect`` is the difference of interest (default: the gate's smallest loss that matters);
    ``comparisons`` > 1 corrects for testing that many. An unknown benchmark counts as GSM8K does.
    """
    from leaderboards.gate.decide import MINIMUM_EFFECTS

    if items < 1:
        raise ValueError(f"a comparison needs items, not {items}")
    spread, design = SPREADS.get(benchmark, SPREADS["gsm8k"])
    stderr = spread * math.sqrt(design / items)
    wanted = MINIMUM_EFFECTS.get(benchmark, 3.0) if effect is None else effect
    return Prospect(
        benchmark,
        items,
        detectable_difference(stderr, comparisons=comparisons),
        wanted,
        achieved_power(wanted, stderr, comparisons=comparisons),
    )
