"""Does the gate cry wolf, and does it see a real loss?

Simulates pairs of evaluations over a whole suite at full size: answers of two checkpoints to the
same items, correlated as the answers of neighbouring checkpoints are. Every pair goes through the
gate's own decision with its default minimum effects. Three settings:

- no true change: a *false alarm* is a table in which any benchmark fails;
- a true loss of 1.5 times the smallest detectable difference on one benchmark (drawn at random):
  *detected* when that benchmark fails;
- the same two with a fixed threshold of one point in place of the gate (a tenth of a point for
  MT-Bench), which is what peers do.

Beside it, the coverage of the length-controlled win rate's intervals (see ``lc_coverage.py``).

    python benchmarking/gate.py [--pairs 2000] [--replicates 300] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaderboards.compare import Comparison, compare_items
from leaderboards.gate.decide import decide
from leaderboards.items import Matched
from leaderboards.legacy_info import BENCHMARKS
from leaderboards.statistics.power import detectable_difference

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Suite:
    """One benchmark of the simulated table.

    ``draw(rng, loss)`` gives two checkpoints' item values with a true mean loss of ``loss`` (in the
    item's unit); ``scale`` turns item values into the figure's unit. ``threshold`` is the peers'.
    """

    name: str
    draw: Callable[[np.random.Generator, float], Matched]
    scale: float
    threshold: float


def answers(n: int, accuracy: float, changed: float) -> Callable[..., Matched]:
    """Right or wrong answers: a share ``changed`` of items differs between the two checkpoints.

    Without a loss it differs as often in either direction.
    """

    def draw(rng: np.random.Generator, loss: float) -> Matched:
        lost, gained = (changed + loss) / 2, (changed - loss) / 2
        kinds = rng.choice(4, size=n, p=[lost, gained, accuracy - lost, 1 - accuracy - gained])
        first, second = np.isin(kinds, (0, 2)), np.isin(kinds, (1, 2))
        return Matched(first.astype(float), second.astype(float), None)

    return draw


def ratings(questions: int = 80) -> Callable[..., Matched]:
    """Two turns per question, rated 1..10, errors correlated within a question."""

    def draw(rng: np.random.Generator, loss: float) -> Matched:
        shared = np.repeat(rng.normal(6.5, 1.8, questions), 2)
        sides = []
        for shift in (0.0, -loss):
            question = np.repeat(rng.normal(0, 0.9, questions), 2)
            rated = shared + question + rng.normal(0, 1.0, 2 * questions) + shift
            sides.append(np.round(rated * 2) / 2)
        return Matched(sides[0], sides[1], np.repeat(np.arange(questions), 2).astype(float))

    return draw


def preferences(n: int = 805, rate: float = 0.3, changed: float = 0.5) -> Callable[..., Matched]:
    """Graded preferences 0..1, mostly near an end; a share ``changed`` of the answers was judged
    anew, the rest came out the same. The loss is spread over the changed answers by their chance."""

    def draw(rng: np.random.Generator, loss: float) -> Matched:
        chance = 1 / (1 + np.exp(-rng.normal(np.log(rate / (1 - rate)), 1.5, n)))
        first = rng.beta(0.3 * chance, 0.3 * (1 - chance))
        anew = rng.random(n) < changed
        lowered = chance * (1 - loss / (changed * mean_chance))
        second = np.where(anew, rng.beta(0.3 * lowered, 0.3 * (1 - lowered)), first)
        return Matched(first, second, None)

    normal = np.random.default_rng(0).normal(np.log(rate / (1 - rate)), 1.5, 400_000)
    mean_chance = float(np.mean(1 / (1 + np.exp(-normal))))
    return draw


SUITE = (
    Suite("gsm8k", answers(1319, 0.62, 0.16), 100.0, 1.0),
    Suite("math", answers(5000, 0.40, 0.18), 100.0, 1.0),
    Suite("gpqa", answers(448, 0.32, 0.35), 100.0, 1.0),
    Suite("mmlu_pro", answers(12032, 0.44, 0.16), 100.0, 1.0),
    Suite("ifeval", answers(541, 0.60, 0.18), 100.0, 1.0),
    Suite("mt_bench", ratings(), 1.0, 0.1),
    Suite("alpaca_eval", preferences(), 100.0, 1.0),
)


def detectable(rng: np.random.Generator) -> dict[str, float]:
    """Each benchmark's smallest detectable difference, from its own items (median of 25 draws)."""
    found = {}
    for one in SUITE:
        errors = [compare_items(one.draw(rng, 0.0), one.scale).stderr for _ in range(25)]
        found[one.name] = detectable_difference(float(np.median(errors)))
    return found


def simulate(pairs: int, seed: int) -> dict[str, Any]:
    """The rates of the gate and of the fixed threshold over ``pairs`` pairs of runs."""
    rng = np.random.default_rng(seed)
    sizes = detectable(rng)
    effects = [BENCHMARKS[one.name].minimum_effect or 0.0 for one in SUITE]
    counts = dict.fromkeys(
        ("false", "found", "fixed_false", "fixed_found", "passed", "false_passed"), 0
    )
    by_benchmark = {one.name: [0, 0] for one in SUITE}
    for _ in range(pairs):
        quiet = [compare_items(one.draw(rng, 0.0), one.scale) for one in SUITE]
        decisions = decide(quiet, effects)
        counts["false"] += any(decision.status == "fail" for decision in decisions)
        counts["passed"] += all(decision.status == "pass" for decision in decisions)
        counts["fixed_false"] += any(map(_fixed, SUITE, quiet))
        hit = int(rng.integers(len(SUITE)))
        one = SUITE[hit]
        loss = 1.5 * sizes[one.name]
        worse = compare_items(one.draw(rng, loss / one.scale), one.scale)
        table = [*quiet[:hit], worse, *quiet[hit + 1 :]]
        status = decide(table, effects)[hit].status
        counts["found"] += status == "fail"
        counts["false_passed"] += status == "pass"
        counts["fixed_found"] += _fixed(one, worse)
        by_benchmark[one.name][0] += 1
        by_benchmark[one.name][1] += status == "fail"
    return {
        "pairs": pairs,
        "false_alarm_rate": counts["false"] / pairs,
        "detection_rate": counts["found"] / pairs,
        "pass_rate_without_change": counts["passed"] / pairs,
        "pass_rate_with_loss": counts["false_passed"] / pairs,
        "fixed_threshold_false_alarm_rate": counts["fixed_false"] / pairs,
        "fixed_threshold_detection_rate": counts["fixed_found"] / pairs,
        "smallest_detectable_difference": {name: round(size, 2) for name, size in sizes.items()},
        "detection_rate_by_benchmark": {
            name: round(found / max(tried, 1), 3) for name, (tried, found) in by_benchmark.items()
        },
    }


def _fixed(one: Suite, comparison: Comparison) -> bool:
    return comparison.difference <= -one.threshold


def lc_coverage(replicates: int, seed: int) -> dict[str, Any]:
    """Coverage of the length-controlled intervals over synthetic replicates, and the package's."""
    from lc_coverage import measure, synthetic, synthetic_gamed  # the script beside this one

    rng = np.random.default_rng(seed)
    population, gamed = synthetic(rng, level=-1.0), synthetic_gamed(rng)
    found = measure("synthetic", population, gamed, replicates, 400, seed)
    return {
        "lc_interval_coverage": found.interval_coverage,
        "lc_package_coverage": found.package_coverage,
        "lc_mean_bootstrap_stderr": found.mean_bootstrap_stderr,
        "lc_mean_package_stderr": found.mean_package_stderr,
        "lc_sd_over_replicates": found.sd_of_lc,
        "lc_replicates": replicates,
    }


def main() -> int:
    """Run both parts and print or write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=300, help="0 leaves the LC part out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    started = time.perf_counter()
    result = simulate(options.pairs, options.seed)
    if options.replicates:
        result |= lc_coverage(options.replicates, options.seed)
    result["seconds"] = round(time.perf_counter() - started, 1)
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
