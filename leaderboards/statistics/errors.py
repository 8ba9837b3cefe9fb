"""Standard errors of a mean, plain and clustered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def standard_error(values: npt.ArrayLike) -> float:
    """Standard error of the mean, s / sqrt(n) with the n - 1 standard deviation; nan below 2."""
    x = np.asarray(values, dtype=float)
    if x.size < 2:
        return float("nan")
    return float(x.std(ddof=1) / np.sqrt(x.size))


def clustered_standard_error(values: npt.ArrayLike, clusters: Sequence[object]) -> float:
    """Standard error of the mean of ``values`` whose errors correlate within a cluster.

    The cluster-robust sandwich estimate for an intercept-only regression (Liang and Zeger, 1986)
    with the small-sample factor G / (G - 1): sqrt(G / (G - 1) * sum_g (sum_{i in g} (x_i - mean))^2)
    / n. With one item per cluster it is the plain standard error. nan for fewer than two clusters.
    """
    x = np.asarray(values, dtype=float)
    if x.size != len(clusters):
        raise ValueError(f"{x.size} values but {len(clusters)} cluster labels")
    _, index = np.unique(np.asarray([str(label) for label in clusters]), return_inverse=True)
    count = int(index.max()) + 1 if x.size else 0
    if count < 2:
        return float("nan")
    sums = np.bincount(index, weights=x - x.mean(), minlength=count)
    return float(np.sqrt(count / (count - 1) * np.sum(sums**2)) / x.size)
