"""Preferences to figures: what counts, what is withheld, and why."""

from __future__ import annotations

import numpy as np
import pytest

from harness.benchmarks.alpaca_eval.files import Instruction, LengthControl
from harness.benchmarks.alpaca_eval.length_control import GamedRows
from harness.benchmarks.alpaca_eval.scoring import Judged, comparisons, outcome
from harness.benchmarks.judged import Header

RNG = np.random.default_rng(0)
N = 40


def control(known: int = N) -> LengthControl:
    rows = GamedRows(RNG.uniform(0, 1, 60), RNG.normal(size=60), RNG.normal(size=60))
    return LengthControl(rows, {k: float(RNG.normal()) for k in range(known)}, "file@1")


def judged(index: int, preference: float | None, **more: object) -> Judged:
    instruction = Instruction(index, f"do {index}", "set", "x" * (40 + index), "baseline")
    return Judged(instruction, "y" * 50, preference, **more)  # type: ignore[arg-type]


def test_win_rate_and_length_by_hand() -> None:
    rows = [judged(k, 2.0 if k % 4 else 1.0) for k in range(N)]
    found = {
        s.metric: s for s in outcome(rows, N, control(), "length_controlled_v1", Header("p")).scores
    }
    assert found["win_rate"].value == 75
    assert (found["length"].value, found["length"].unit) == (50, "characters")
    lc = found["lc_win_rate"]
    assert lc.headline
    assert lc.value is not None
    assert lc.ci_low is not None
    assert lc.ci_high is not None
    assert lc.ci_low < lc.value < lc.ci_high


def test_a_missing_preference_is_no_loss() -> None:
    rows = [judged(k, 2.0) for k in range(N - 2)]
    rows += [judged(N - 2, None, state="unparsed"), judged(N - 1, None, state="error", error="e")]
    found = outcome(rows, N + 1, control(), "length_controlled_v1", Header("p"))
    win = next(s for s in found.scores if s.metric == "win_rate")
    assert (win.value, win.n, win.n_expected) == (100, N - 2, N + 1)
    assert (win.n_unparsed, win.n_error, win.n_missing) == (1, 1, 1)
    assert "win_rate" not in found.items[-1].values
    assert found.items[-2].unparsed


def test_an_instruction_without_difficulty_withholds_the_length_control() -> None:
    rows = [judged(k, 1.0 + k / N) for k in range(N)]
    scores = outcome(rows, N, control(N - 1), "length_controlled_v1", Header("p")).scores
    lc = next(s for s in scores if s.metric == "lc_win_rate")
    assert lc.value is None
    assert lc.settings["withheld"] == "an instruction has no known difficulty"
    assert next(s for s in scores if s.metric == "win_rate").value is not None


def test_length_differences_are_baseline_minus_model() -> None:
    data = comparisons([judged(0, 1.5), judged(20, None)], control())
    assert data.delta_len.tolist() == [-10, 10]
    assert data.preference[0] == pytest.approx(0.5)
    assert np.isnan(data.preference[1])
