"""Correction of p-values for many comparisons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def holm(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Holm's step-down adjusted p-values (family-wise error rate, any dependence)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return _unsorted(stepped, order)


def bonferroni(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """p-values times their number, capped at 1."""
    p = np.asarray(p_values, dtype=float)
    return np.minimum(p * p.size, 1.0)


def benjamini_hochberg(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Benjamini and Hochberg's step-up adjusted p-values (false discovery rate)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    return _unsorted(np.minimum.accumulate(scaled[::-1])[::-1], order)


def _unsorted(
    values: npt.NDArray[np.float64], order: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(values, 1.0)
    return adjusted
