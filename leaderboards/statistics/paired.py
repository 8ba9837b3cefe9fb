"""Tests of two checkpoints that answered the same items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaderboards.statistics.errors import clustered_standard_error, standard_error


@dataclass(frozen=True)
class Paired:
    """Mean difference (second minus first), its standard error, two-sided p-value, 95 % interval."""

    n: int
    difference: float
    stderr: float
    df: float
    p_value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class McNemar:
    """Items that only one of the two got right, and the exact two-sided p-value."""

    only_first: int
    only_second: int
    p_value: float


def paired_t(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: Sequence[object] | None = None
) -> Paired:
    """Student's t test of the mean of ``second - first``, item by item.

    With ``clusters`` (one label an item) the standard error is cluster-robust and the degrees of
    freedom are clusters - 1. Without any variation the p-value is 1 for no difference, else 0.
    """
    d = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    groups = len(set(map(str, clusters))) if clusters is not None else d.size
    stderr = standard_error(d) if clusters is None else clustered_standard_error(d, clusters)
    mean = float(d.mean()) if d.size else float("nan")
    return from_estimate(mean, stderr, df=groups - 1, n=int(d.size))


def from_estimate(difference: float, stderr: float, df: float, n: int = 0) -> Paired:
    """The t test (normal for df = inf) of an estimated difference with known standard error."""
    if not stderr > 0 or df < 1:
        certain = stderr == 0 and difference != 0 and df >= 1
        p = 0.0 if certain else 1.0
        half = 0.0 if stderr == 0 else math.inf
        return Paired(n, difference, stderr, df, p, difference - half, difference + half)
    p = two_sided_p(difference / stderr, df)
    half = quantile(0.975, df) * stderr
    return Paired(n, difference, stderr, df, p, difference - half, difference + half)


def two_sided_p(statistic: float, df: float) -> float:
    """Two-sided p-value of a t statistic; ``df`` inf means the normal distribution."""
    return 2 * one_sided_p(abs(statistic), df)


def one_sided_p(statistic: float, df: float) -> float:
    """P(T >= statistic) for Student's t; ``df`` inf means the normal distribution."""
    from scipy.special import ndtr, stdtr

    return float(ndtr(-statistic) if math.isinf(df) else stdtr(df, -statistic))


def quantile(probability: float, df: float) -> float:
    """Quantile of Student's t; ``df`` inf means the normal distribution."""
    from scipy.special import ndtri, stdtrit

    return float(ndtri(probability) if math.isinf(df) else stdtrit(df, probability))


def mcnemar(first: npt.ArrayLike, second: npt.ArrayLike) -> McNemar:
    """Exact McNemar test of two 0/1 vectors: a binomial test on the items where they differ."""
    from scipy.special import bdtr

    a, b = np.asarray(first, dtype=float) > 0.5, np.asarray(second, dtype=float) > 0.5
    only_first, only_second = int(np.sum(a & ~b)), int(np.sum(~a & b))
    changed = only_first + only_second
    tail = float(bdtr(min(only_first, only_second), changed, 0.5)) if changed else 1.0
    return McNemar(only_first, only_second, min(1.0, 2 * tail))


def is_binary(values: npt.ArrayLike) -> bool:
    """Whether every value is 0 or 1."""
    x = np.asarray(values, dtype=float)
    return bool(np.all((x == 0) | (x == 1)))
