"""Bootstrap intervals: of a mean, of a paired difference, and of any statistic that is refitted.

Resampling is over items, or over clusters of items; every function is seeded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Statistic = Callable[[npt.NDArray[np.intp]], float]
"""From the positions of the resampled items to the statistic on them."""


@dataclass(frozen=True)
class Interval:
    """A statistic, the standard deviation over resamples, and a percentile interval."""

    value: float
    stderr: float
    ci_low: float
    ci_high: float
    draws: int


def refit_bootstrap(
    statistic: Statistic, n: int, *, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile bootstrap of ``statistic`` over ``n`` items, computed anew on every resample.

    For a model-based figure such as a length-controlled win rate, ``statistic`` refits the model on
    the items it is given, so the interval holds the fit's own uncertainty. Resamples on which it
    raises ValueError or gives no finite figure (a degenerate fit) are drawn again, at most ten
    times in all as many as asked for.
    """
    rng = np.random.default_rng(seed)
    values: list[float] = []
    for _ in range(10 * draws):
        try:
            value = float(statistic(rng.integers(0, n, size=n)))
        except ValueError:
            continue
        if np.isfinite(value):
            values.append(value)
        if len(values) == draws:
            break
    if len(values) < draws:
        raise ValueError(f"only {len(values)} of {draws} resamples gave a finite figure")
    return _interval(float(statistic(np.arange(n))), np.asarray(values), level)


def mean_bootstrap(
    values: npt.ArrayLike,
    *,
    clusters: Sequence[object] | None = None,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of a mean, over items or (with labels) over clusters of items."""
    x = np.asarray(values, dtype=float)
    sums, counts = _cluster_sums(x, clusters)
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    block = max(1, 4_000_000 // max(sums.size, 1))
    for start in range(0, draws, block):
        index = rng.integers(0, sums.size, size=(min(block, draws - start), sums.size))
        means[start : start + len(index)] = sums[index].sum(1) / counts[index].sum(1)
    return _interval(float(x.mean()), means, level)


def paired_bootstrap(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    clusters: Sequence[object] | None = None,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Bootstrap of the mean of ``second - first``: both answers to an item are drawn together."""
    d = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    return mean_bootstrap(d, clusters=clusters, draws=draws, seed=seed, level=level)


def _cluster_sums(
    x: npt.NDArray[np.float64], clusters: Sequence[object] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if clusters is None:
        return x, np.ones_like(x)
    _, index = np.unique(np.asarray([str(label) for label in clusters]), return_inverse=True)
    sums = np.bincount(index, weights=x).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)


def _interval(value: float, draws: npt.NDArray[np.float64], level: float) -> Interval:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(draws.std(ddof=1)), float(low), float(high), len(draws))
