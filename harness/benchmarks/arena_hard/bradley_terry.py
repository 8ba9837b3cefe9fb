"""Win rate against a baseline by Bradley-Terry, with a bootstrap interval, and with style held equal.

Against one baseline the Bradley-Terry estimate of a model is the logit of its weighted share of wins, ties half,
so its win rate is that share. A strong verdict (``A>>B``) counts as ``strong`` weak ones (3, as published). With
style control the logit also gets a linear term in the differences of style, and the win rate is that at no
difference. Source: Li et al. 2024 (arXiv 2406.11939); the LMSYS post on style control (August 2024).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RIDGE = 1e-3
"""Penalty on the style coefficients: few items may be separable by them."""


@dataclass(frozen=True)
class Games:
    """Verdicts on n questions: ``values`` (n, 2) in 1..2 about the model, one per order; ``style`` (n, features)
    differences model minus baseline."""

    values: Floats
    style: Floats

    def resampled(self, rows: NDArray[np.int64]) -> Games:
        """The games of these questions."""
        return Games(self.values[rows], self.style[rows])


def weights_of(values: Floats, strong: float) -> Floats:
    """Weight of each verdict: ``strong`` for a much better answer, else 1."""
    return np.where((values == 1.0) | (values == 2.0), strong, 1.0)


def shares_of(values: Floats) -> Floats:
    """Share of the win that goes to the model: 1, 0, or a half for a tie."""
    return np.where(values > 1.5, 1.0, np.where(values < 1.5, 0.0, 0.5))


def win_rate(games: Games, strong: float, *, style_control: bool = False) -> float:
    """The model's win rate against the baseline, 0..1."""
    weights, shares = weights_of(games.values, strong), shares_of(games.values)
    if not style_control:
        return float((weights * shares).sum() / weights.sum())
    return _at_equal_style(games.style, weights.sum(axis=1), (weights * shares).sum(axis=1))


def _at_equal_style(style: Floats, totals: Floats, wins: Floats) -> float:
    """sigmoid of the intercept of a logistic regression on standardised style (Newton's method)."""
    scale = style.std(axis=0)
    features = style[:, scale > 0] / scale[scale > 0]
    design = np.hstack([np.ones((len(style), 1)), features])
    penalty = np.diag([RIDGE] * design.shape[1])
    found = np.zeros(design.shape[1])
    for _ in range(50):
        fitted = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        slope = design.T @ (wins - totals * fitted) - penalty @ found
        curve = (design.T * (totals * fitted * (1 - fitted))) @ design + penalty
        step = np.linalg.solve(curve, slope)
        found = found + step
        if float(np.abs(step).max()) < 1e-10:
            break
    return float(1 / (1 + math.exp(-float(found[0]))))


@dataclass(frozen=True)
class Interval:
    """Standard error and 95 % interval over resampled questions, 0..1."""

    stderr: float
    low: float
    high: float


def interval(
    games: Games, strong: float, rounds: int, seed: int, *, style_control: bool = False
) -> Interval | None:
    """Percentile bootstrap over questions (both orders of one go together); None for one question."""
    n = len(games.values)
    if n < 2 or rounds < 2:
        return None
    rng = np.random.default_rng(seed)
    found = np.array(
        [
            win_rate(games.resampled(rng.integers(0, n, n)), strong, style_control=style_control)
            for _ in range(rounds)
        ]
    )
    low, high = np.percentile(found, [2.5, 97.5])
    return Interval(float(found.std(ddof=1)), float(low), float(high))


def style_of(text: str) -> tuple[int, int, int, int]:
    """Characters, Markdown headers, list items and bold spans of an answer, code blocks left out."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headers = len(re.findall(r"^#{1,6}\s", plain, re.MULTILINE))
    items = len(re.findall(r"^\s*(?:[-*+]|\d+\.)\s", plain, re.MULTILINE))
    bold = len(re.findall(r"\*\*[^*\n]+\*\*|__[^_\n]+__", plain))
    return len(text), headers, items, bold


def style_difference(model: str, baseline: str) -> tuple[float, float, float, float]:
    """Relative difference of length, and of the number of headers, list items and bold spans by length."""
    ours, theirs = style_of(model), style_of(baseline)
    length = (ours[0] - theirs[0]) / max(ours[0] + theirs[0], 1)
    rest = []
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        a, b = mine / max(ours[0], 1), other / max(theirs[0], 1)
        rest.append((a - b) / (a + b + 1))
    return length, rest[0], rest[1], rest[2]


def games_of(values: Sequence[tuple[float, float]], texts: Sequence[tuple[str, str]]) -> Games:
    """Games from verdicts per question and (model's, baseline's) answers."""
    style = [style_difference(model, baseline) for model, baseline in texts]
    return Games(np.array(values, dtype=np.float64), np.array(style, dtype=np.float64))
