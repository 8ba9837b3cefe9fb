"""The interval of a length-controlled win rate: refits, the bootstrap, and its shortcut."""

from __future__ import annotations

import numpy as np
import pytest

from harness.benchmarks.alpaca_eval.lc_interval import (
    bootstrap_interval,
    bootstrap_win_rates,
    pseudo_values,
    refit_win_rate,
)
from harness.benchmarks.alpaca_eval.length_control import (
    Comparisons,
    LcUnavailableError,
    at_equal_length,
    fit_lc,
    neutral_rows,
    scale,
)
from tests.harness.benchmarks.alpaca_eval.test_length_control import (
    NEUTRAL,
    N,
    gamed_rows,
    make_rows,
    to_comparisons,
)


def test_refits_are_the_penalised_optimum() -> None:
    """Each replicate against a general optimiser (scipy) on the same objective."""
    from scipy.optimize import minimize

    gamed = gamed_rows()
    data = to_comparisons(make_rows(5), gamed.difficulty)
    fit = fit_lc(data, gamed)
    counts = np.random.default_rng(0).multinomial(N, np.full(N, 1 / N), size=2).astype(float)
    fast = refit_win_rate(data, fit, gamed, counts)
    gamed_x = np.column_stack(
        [np.tanh(gamed.std_delta_len), gamed.difficulty, 0 * gamed.difficulty]
    )
    for row, got in zip(counts, fast, strict=True):
        drawn = data.take(np.repeat(np.arange(N), row.astype(int)))
        x = at_equal_length(fit.glm, drawn.difficulty)
        x[:, 0] = np.tanh(drawn.delta_len / scale(drawn.delta_len))

        def loss(split: np.ndarray, x: np.ndarray = x, y: np.ndarray = drawn.preference) -> float:
            beta = split[:3] - split[3:]  # positive and negative part: |beta| is smooth
            own, other = x @ beta, gamed_x @ beta
            value = np.sum(np.logaddexp(0, own) - y * own)
            value += 0.1 * np.sum(np.logaddexp(0, other) - gamed.preference * other)
            return float(value + split.sum() / fit.penalty)

        best = minimize(
            loss, np.full(6, 0.5), bounds=[(0, None)] * 6, method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000},
        ).x  # fmt: skip
        p = 1 / (1 + np.exp(-at_equal_length(fit.glm, drawn.difficulty) @ (best[:3] - best[3:])))
        assert got == pytest.approx(100 * p.mean(), abs=2e-3)


def test_pseudo_values_are_the_derivative_of_the_win_rate() -> None:
    """Weighting one instruction up a little moves the win rate by its influence."""
    gamed = gamed_rows()
    data = to_comparisons(make_rows(6), gamed.difficulty)
    fit = fit_lc(data, gamed)
    values = pseudo_values(data, fit, gamed)
    assert values.mean() == pytest.approx(fit.win_rate, abs=1e-9)
    base = refit_win_rate(data, fit, gamed, np.ones((1, N)))[0]
    step = 1e-3
    for number in (0, 3, 50):
        counts = np.full((1, N), 1.0 - step / N)
        counts[0, number] += step
        change = refit_win_rate(data, fit, gamed, counts)[0] - base
        assert N * change / step == pytest.approx(values[number] - fit.win_rate, rel=0.02, abs=0.1)


def test_bootstrap_and_pseudo_values_agree_on_the_standard_error() -> None:
    gamed = gamed_rows()
    data = to_comparisons(make_rows(7), gamed.difficulty)
    fit = fit_lc(data, gamed)
    interval = bootstrap_interval(data, fit, gamed, replicates=1000)
    linear = pseudo_values(data, fit, gamed).std(ddof=1) / np.sqrt(N)
    assert interval.stderr == pytest.approx(linear, rel=0.12)
    assert interval.low < fit.win_rate < interval.high
    assert interval.unusable == 0
    assert interval.stderr > 1.5 * fit.package_standard_error


def test_bootstrap_is_seeded() -> None:
    data = to_comparisons(make_rows(8, n=40), np.zeros(40))
    fit = fit_lc(data, neutral_rows(len(data.preference)), NEUTRAL)
    first = bootstrap_win_rates(data, fit, neutral_rows(40), replicates=150, seed=3)
    assert np.array_equal(
        first, bootstrap_win_rates(data, fit, neutral_rows(40), replicates=150, seed=3)
    )
    assert not np.array_equal(
        first, bootstrap_win_rates(data, fit, neutral_rows(40), replicates=150, seed=4)
    )


def test_unanimous_preferences_have_no_interval() -> None:
    data = Comparisons(np.full(12, 0.75), np.arange(12.0), np.zeros(12))
    fit = fit_lc(data, neutral_rows(len(data.preference)), NEUTRAL)
    assert fit.win_rate == pytest.approx(75, abs=0.2)
    with pytest.raises(LcUnavailableError, match="no spread"):
        bootstrap_interval(data, fit, neutral_rows(12))
