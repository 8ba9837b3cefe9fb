"""Change points of a history: where the level of a series shifts by more than its noise.

Binary segmentation: the split with the largest standardised difference of means is kept when that
maximum is rarer than ``alpha`` under no change, then both sides are searched again. The null
distribution of the maximum is simulated with the series' own standard errors, so looking at every
split is paid for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A shift: ``index`` is the first point of the new level; ``difference`` new minus old level."""

    index: int
    difference: float
    p_value: float


def change_points(
    values: npt.ArrayLike,
    stderrs: npt.ArrayLike | None = None,
    *,
    alpha: float = 0.01,
    draws: int = 4000,
    seed: int = 0,
) -> list[Change]:
    """Significant level shifts of a series in time order (empty for fewer than four points).

    ``stderrs`` are the measuring errors; where the points scatter by more than that (other seeds,
    other machines), all errors are scaled up to the scatter of successive differences.
    """
    y = np.asarray(values, dtype=float)
    if y.size < 4:
        return []
    noise = _noise(y, None if stderrs is None else np.asarray(stderrs, dtype=float))
    rng = np.random.default_rng(seed)
    found: list[Change] = []
    segments = [(0, y.size)]
    while segments:
        start, stop = segments.pop()
        change = _best(y[start:stop], noise[start:stop], alpha, draws, rng)
        if change is None:
            continue
        at = start + change.index
        found.append(Change(at, change.difference, change.p_value))
        segments += [(start, at), (at, stop)]
    return sorted(found, key=lambda change: change.index)


def _noise(y: Floats, stderrs: Floats | None) -> Floats:
    steps = np.abs(np.diff(y))
    scatter = float(np.median(steps)) / 0.6745 / np.sqrt(2)
    if stderrs is None or not np.all(np.isfinite(stderrs)) or not np.all(stderrs > 0):
        return np.full(y.size, max(scatter, 1e-9))
    return stderrs * max(1.0, scatter / float(np.median(stderrs)))


def _best(
    y: Floats, noise: Floats, alpha: float, draws: int, rng: np.random.Generator
) -> Change | None:
    if y.size < 4:
        return None
    z, differences = _scan(y[None, :], noise)
    split = int(np.argmax(z[0]))
    null, _ = _scan(rng.normal(size=(draws, y.size)) * noise, noise)
    p = (float(np.sum(null.max(1) >= z[0, split])) + 1) / (draws + 1)
    if p > alpha:
        return None
    return Change(split + 1, float(differences[0, split]), p)


def _scan(rows: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """|z| and difference of weighted means for every split of every row; shapes (rows, n - 1)."""
    weights = 1 / noise**2
    left_weight = np.cumsum(weights)[:-1]
    right_weight = weights.sum() - left_weight
    weighted = np.cumsum(rows * weights, axis=1)
    left = weighted[:, :-1] / left_weight
    right = (weighted[:, -1:] - weighted[:, :-1]) / right_weight
    differences = right - left
    return np.abs(differences) / np.sqrt(1 / left_weight + 1 / right_weight), differences
