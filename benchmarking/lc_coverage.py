"""Does the interval of the length-controlled win rate cover what it should?

Each population is a large set of judged instructions whose length-controlled win rate is known:
either the real judgments of a model (``--data DIR``; the 805 rows *are* the population) or a
synthetic one. Replicates draw 805 instructions from it with replacement, fit the model with its
cross-validation anew, and ask whether the bootstrap interval holds the population's value. The
package's ``lc_standard_error`` is put to the same test, as value +- 1.96 standard errors.

    python benchmarking/lc_coverage.py [--data DIR] [--replicates 300] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from harness.benchmarks.alpaca_eval.files import (
    read_annotations,
    read_instructions,
    read_length_control,
)
from harness.benchmarks.alpaca_eval.lc_interval import bootstrap_interval
from harness.benchmarks.alpaca_eval.length_control import (
    GLMS,
    Comparisons,
    GamedRows,
    LcFit,
    fit_lc,
    preference_share,
)

GLM = GLMS["length_controlled_v1"]
N = 805
NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Coverage:
    """What one population gave; win rates and standard errors in percentage points."""

    population: str
    true_lc: float
    replicates: int
    mean_lc: float
    sd_of_lc: float
    interval_coverage: float
    mean_interval_width: float
    mean_bootstrap_stderr: float
    package_coverage: float
    mean_package_stderr: float


def synthetic(rng: np.random.Generator, level: float, rows: int = 40_000) -> Comparisons:
    """A population: lengths, difficulties, and judgments that are mostly near 0 or 1.

    The chance of a win follows the model of length plus a term it does not know (an interaction of
    length and difficulty), so that the fit is wrong in the way that real fits are.
    """
    difficulty = rng.normal(0.0, 1.3, rows)
    delta = 400 * rng.standard_t(5, rows) + 300
    scaled = np.tanh(delta / delta.std())
    chance = 1 / (
        1 + np.exp(-(level - 1.6 * scaled + 0.9 * difficulty - 0.3 * scaled * difficulty))
    )
    sharp = 0.15
    return Comparisons(
        rng.beta(np.maximum(chance * sharp, 1e-3), np.maximum((1 - chance) * sharp, 1e-3)),
        delta,
        difficulty,
    )


def synthetic_gamed(rng: np.random.Generator) -> GamedRows:
    """Verbose and concise answers of the baseline, judged by a length-loving judge."""
    difficulty = rng.normal(0.0, 1.3, 2 * N)
    length = np.concatenate([rng.normal(-1.0, 1.0, N), rng.normal(1.0, 1.0, N)])
    chance = 1 / (1 + np.exp(1.6 * np.tanh(length)))
    return GamedRows(chance, length, difficulty)


def population_value(population: Comparisons, gamed: GamedRows) -> float:
    """The value that samples of ``N`` aim at: the fit to the whole population, the gamed rows
    repeated so that they weigh what they weigh beside ``N`` instructions."""
    times = max(1, round(len(population.preference) / N))
    repeated = GamedRows(
        *(np.tile(v, times) for v in (gamed.preference, gamed.std_delta_len, gamed.difficulty))
    )
    return fit_lc(population, repeated, GLM).win_rate


def measure(
    name: str,
    population: Comparisons,
    gamed: GamedRows,
    replicates: int,
    bootstrap: int,
    seed: int,
) -> Coverage:
    """Draw, fit, ask."""
    rng = np.random.default_rng(seed)
    truth = population_value(population, gamed)
    rows: list[tuple[LcFit, float, float, float]] = []
    for number in range(replicates):
        drawn = population.take(rng.integers(len(population.preference), size=N))
        fit = fit_lc(drawn, gamed, GLM)
        interval = bootstrap_interval(drawn, fit, gamed, replicates=bootstrap, seed=number)
        rows.append((fit, interval.low, interval.high, interval.stderr))
    value = np.array([fit.win_rate for fit, *_ in rows])
    low, high, stderr = (np.array([row[k] for row in rows]) for k in (1, 2, 3))
    package = np.array([fit.package_standard_error for fit, *_ in rows])
    return Coverage(
        population=name,
        true_lc=truth,
        replicates=replicates,
        mean_lc=float(value.mean()),
        sd_of_lc=float(value.std(ddof=1)),
        interval_coverage=float(((low <= truth) & (truth <= high)).mean()),
        mean_interval_width=float((high - low).mean()),
        mean_bootstrap_stderr=float(stderr.mean()),
        package_coverage=float((np.abs(value - truth) <= NORMAL * package).mean()),
        mean_package_stderr=float(package.mean()),
    )


def populations(
    data: Path | None, rng: np.random.Generator
) -> Iterator[tuple[str, Comparisons, GamedRows]]:
    """Name, rows and gamed rows of each population."""
    gamed = synthetic_gamed(rng)
    for level, label in ((-2.0, "weak"), (0.0, "even")):
        yield f"synthetic, {label} model", synthetic(rng, level), gamed
    if data is None:
        return
    folder = data / "alpaca_eval"
    names = ("df_gamed.csv", "df_gamed_reconstructed.csv")
    control = read_length_control(next(folder / n for n in names if (folder / n).is_file()))
    reference = read_instructions(folder / "gpt4_1106_preview_model_outputs.json")
    index = {row.instruction: row.index for row in reference}
    for path in sorted(folder.glob("*/annotations.json*")):
        rows = read_annotations(path)
        yield (
            path.parent.name,
            Comparisons(
                preference_share([row["preference"] for row in rows]),
                np.array([len(r["output_1"]) - len(r["output_2"]) for r in rows], float),
                np.array([control.difficulty[index[r["instruction"]]] for r in rows]),
            ),
            control.gamed,
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder laid out like the real evaluation data")
    parser.add_argument("--replicates", type=int, default=300, help="a population")
    parser.add_argument("--bootstrap", type=int, default=400, help="resamples per interval")
    parser.add_argument("--only", help="populations whose name holds this text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    found = []
    for name, rows, gamed in populations(args.data, np.random.default_rng(args.seed)):
        if args.only and args.only not in name:
            continue
        start = time.perf_counter()
        result = measure(name, rows, gamed, args.replicates, args.bootstrap, args.seed)
        result = replace(result, true_lc=round(result.true_lc, 4))
        found.append(result)
        print(
            f"{name}: true {result.true_lc:.2f}, interval covers {result.interval_coverage:.1%} "
            f"(stderr {result.mean_bootstrap_stderr:.2f}, real sd {result.sd_of_lc:.2f}), package "
            f"{result.package_coverage:.1%} (stderr {result.mean_package_stderr:.2f}); "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    if not found:
        sys.exit("no population to measure")
    if args.json:
        summary = {
            "lc_interval_coverage": float(np.mean([c.interval_coverage for c in found])),
            "lc_interval_coverage_worst": min(
                (c.interval_coverage for c in found), key=lambda c: -abs(c - 0.95)
            ),
            "package_coverage": float(np.mean([c.package_coverage for c in found])),
            "populations": [asdict(c) for c in found],
        }
        args.json.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
