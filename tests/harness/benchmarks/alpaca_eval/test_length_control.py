"""The length-controlled model against alpaca_eval's own function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.benchmarks.alpaca_eval.alpaca_eval_package import length_controlled_winrate
from harness.benchmarks.alpaca_eval.length_control import (
    GLMS,
    Comparisons,
    GamedRows,
    LcUnavailableError,
    fit_lc,
    neutral_rows,
    preference_share,
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


def test_preference_share() -> None:
    shares = preference_share([1.0, 2.0, 1.5, 0, 1.25, None])
    assert shares[:5].tolist() == [0.0, 1.0, 0.5, 0.5, 0.25]
    assert np.isnan(shares[5])


def test_no_length_effect_leaves_the_raw_win_rate() -> None:
    """Equal preferences at mirrored lengths: the constant alone explains them."""
    data = Comparisons(np.tile([0.3, 0.3], 20), np.tile([-50.0, 50.0], 20), np.zeros(40))
    fit = fit_lc(data, neutral_rows(len(data.preference)), NEUTRAL)
    assert fit.win_rate == pytest.approx(30.0, abs=0.1)


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
