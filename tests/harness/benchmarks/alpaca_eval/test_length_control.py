"""The length-controlled model against alpaca_eval's own function, and its interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.benchmarks.alpaca_eval.alpaca_eval_package import length_controlled_winrate
from harness.benchmarks.alpaca_eval.lc_interval import (
    bootstrap_interval,
    bootstrap_win_rates,
    pseudo_values,
    refit_win_rate,
)
from harness.benchmarks.alpaca_eval.length_control import (
    GLMS,
    Comparisons,
    GamedRows,
    LcUnavailableError,
    at_equal_length,
    fit_lc,
    neutral_rows,
    preference_share,
    scale,
)

N = 120
NEUTRAL = GLMS["length_controlled_neutral"]


def make_rows(seed: int, n: int = N, level: float = -0.5) -> list[dict[str, Any]]:
    """Annotations in alpaca_eval's format with lengths, ties and graded preferences."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        len_1, len_2 = (int(v) for v in rng.integers(5, 400, 2))
        chance = 1 / (1 + np.exp(-(level - 0.01 * (len_1 - len_2))))
        rows.append(
            {
                "output_1": "a" * len_1,
                "output_2": "b" * len_2,
                "generator_1": "baseline",
                "generator_2": "model",
                "preference": float(
                    rng.choice([1 + rng.beta(chance, 1 - chance), 1.5, 0.0], p=[0.9, 0.05, 0.05])
                ),
            }
        )
    return rows


def gamed_rows(n: int = N) -> GamedRows:
    """A verbose and a concise baseline, judged by a judge that likes length."""
    rng = np.random.default_rng(99)
    difficulty = np.tile(rng.normal(size=n), 2)
    length = np.concatenate([rng.normal(-1.0, 1.0, n), rng.normal(1.0, 1.0, n)])
    preference = 1 / (1 + np.exp(1.5 * np.tanh(length) - 0.5 * difficulty))
    return GamedRows(preference, length, difficulty)


def make_gamed(folder: Path) -> tuple[Path, GamedRows]:
    """The gamed rows as a ``df_gamed.csv`` and as arrays."""
    gamed = gamed_rows()
    lines = ["model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline"]
    columns = zip(gamed.preference, gamed.std_delta_len, gamed.difficulty, strict=True)
    for number, (p, length, difficulty) in enumerate(columns):
        cells = f"{float(p)!r},{number % N},{float(length)!r},{float(difficulty)!r}"
        lines.append(f"{'verbose' if number < N else 'concise'},{cells},False")
    path = folder / "df_gamed.csv"
    path.write_text("\n".join(lines) + "\n")
    return path, gamed


def to_comparisons(rows: list[dict[str, Any]], difficulty: np.ndarray) -> Comparisons:
    """The arrays of annotation rows."""
    return Comparisons(
        preference_share([row["preference"] for row in rows]),
        np.array([len(r["output_1"]) - len(r["output_2"]) for r in rows], float),
        difficulty[: len(rows)],
    )


@pytest.mark.parametrize("glm", sorted(GLMS))
@pytest.mark.parametrize("seed", [0, 1])
def test_fit_equals_the_package(tmp_path: Path, glm: str, seed: int) -> None:
    path, gamed = make_gamed(tmp_path)
    rows = make_rows(seed, level=-1.5 * seed)
    theirs = length_controlled_winrate(rows, path, GLMS[glm])
    ours = fit_lc(to_comparisons(rows, gamed.difficulty), gamed, GLMS[glm])
    assert ours.win_rate == pytest.approx(theirs["length_controlled_winrate"], abs=1e-6)
    assert ours.package_standard_error == pytest.approx(theirs["lc_standard_error"], abs=1e-6)


def test_fit_equals_the_package_with_missing_preferences(tmp_path: Path) -> None:
    path, gamed = make_gamed(tmp_path)
    rows = make_rows(3)
    for number in (0, 17, 80):
        rows[number]["preference"] = None
    theirs = length_controlled_winrate(rows, path)
    ours = fit_lc(to_comparisons(rows, gamed.difficulty), gamed)
    assert ours.win_rate == pytest.approx(theirs["length_controlled_winrate"], abs=1e-6)


def test_package_adapter_leaves_scikit_learn_as_it_was(tmp_path: Path) -> None:
    import sklearn

    path, _ = make_gamed(tmp_path)
    before = sklearn.get_config()["enable_metadata_routing"]
    length_controlled_winrate(make_rows(0), path)
    assert sklearn.get_config()["enable_metadata_routing"] == before


def test_an_index_in_the_rows_repairs_the_package_pairing_after_a_gap(tmp_path: Path) -> None:
    """alpaca_eval takes the difficulty by row position; a row that is missing shifts all later
    ones. Our annotations carry ``index``, with which the package itself pairs them rightly."""
    path, gamed = make_gamed(tmp_path)
    rows = make_rows(4)
    kept = [dict(row, index=number) for number, row in enumerate(rows) if number not in (5, 6)]
    numbers = np.array([row["index"] for row in kept])
    right = Comparisons(
        preference_share([row["preference"] for row in kept]),
        np.array([len(r["output_1"]) - len(r["output_2"]) for r in kept], float),
        gamed.difficulty[numbers],
    )
    by_index = length_controlled_winrate(kept, path)["length_controlled_winrate"]
    bare = [{k: v for k, v in row.items() if k != "index"} for row in kept]
    by_position = length_controlled_winrate(bare, path)["length_controlled_winrate"]
    assert fit_lc(right, gamed).win_rate == pytest.approx(by_index, abs=1e-6)
    assert abs(by_position - by_index) > 1e-4


def test_preference_share() -> None:
    shares = preference_share([1.0, 2.0, 1.5, 0, 1.25, None])
    assert shares[:5].tolist() == [0.0, 1.0, 0.5, 0.5, 0.25]
    assert np.isnan(shares[5])


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


def test_no_length_effect_leaves_the_raw_win_rate() -> None:
    """Equal preferences at mirrored lengths: the constant alone explains them."""
    data = Comparisons(np.tile([0.3, 0.3], 20), np.tile([-50.0, 50.0], 20), np.zeros(40))
    fit = fit_lc(data, neutral_rows(len(data.preference)), NEUTRAL)
    assert fit.win_rate == pytest.approx(30.0, abs=0.1)


def test_unanimous_preferences_have_no_interval() -> None:
    data = Comparisons(np.full(12, 0.75), np.arange(12.0), np.zeros(12))
    fit = fit_lc(data, neutral_rows(len(data.preference)), NEUTRAL)
    assert fit.win_rate == pytest.approx(75, abs=0.2)
    with pytest.raises(LcUnavailableError, match="no spread"):
        bootstrap_interval(data, fit, neutral_rows(12))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (Comparisons(np.full(4, 0.5), np.arange(4.0), np.zeros(4)), "4 judged instructions"),
        (Comparisons(np.full(6, 0.5), np.full(6, 7.0), np.zeros(6)), "same length"),
        (
            Comparisons(np.array([0.5, np.nan, np.nan, 0.1, np.nan]), np.arange(5.0), np.zeros(5)),
            "2 judged instructions",
        ),
    ],
)
def test_too_little_to_fit_is_said(data: Comparisons, reason: str) -> None:
    with pytest.raises(LcUnavailableError, match=reason):
        fit_lc(data, neutral_rows(len(data.preference)), NEUTRAL)


def test_neutral_rows_remove_no_length_effect_that_was_not_seen() -> None:
    """All answers much shorter than the baseline's: length and constant can't be told apart."""
    rng = np.random.default_rng(0)
    data = Comparisons(np.clip(rng.normal(0.3, 0.1, 8), 0, 1), rng.normal(600, 60, 8), np.zeros(8))
    fit = fit_lc(data, neutral_rows(40), NEUTRAL)
    assert fit.win_rate == pytest.approx(100 * data.preference.mean(), abs=4)


def test_neutral_rows_let_a_length_effect_through_that_was_seen() -> None:
    """Longer answers win; at equal length the model's answers win three times in four."""
    rng = np.random.default_rng(1)
    delta = rng.normal(150, 300, 400)
    chance = 1 / (1 + np.exp(-(np.log(3) - 2.0 * np.tanh(delta / delta.std(ddof=1)))))
    data = Comparisons(chance, delta, np.zeros(400))
    fit = fit_lc(data, neutral_rows(40), NEUTRAL)
    assert fit.win_rate == pytest.approx(75, abs=1.0)
    assert 100 * chance.mean() < 66
