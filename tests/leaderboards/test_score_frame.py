"""The tidy frame, and scores over seeds."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

import leaderboards
from leaderboards import load_runs, over_seeds
from leaderboards.score_frame import COLUMNS
from tests.leaderboards.example_runs import add_eval, add_score, start_run


def test_one_row_a_score_with_the_documented_columns(tmp_path):
    run = start_run(tmp_path)
    folder = add_eval(run, "gsm8k", [1, 0, 1, 1])
    add_score(
        folder, benchmark="gsm8k", metric="flexible", value=80, n=4, n_expected=4, protocol="p"
    )
    add_eval(
        run, "gsm8k", [1, 1, 1, 1], arm="sso", iteration=1, marks=("sample-data", "item-limit")
    )
    frame = load_runs([run])
    assert list(frame.columns) == list(COLUMNS)
    assert frame["value"].tolist() == [75.0, 80.0, 100.0]
    assert frame["loss"].tolist() == ["", "", "ipo"]
    assert frame["marks"].tolist() == ["", "", "sample-data|item-limit"]
    assert set(frame["model"]) == {"tiny"}


def test_over_seeds_by_hand(tmp_path):
    runs = []
    for seed, share in enumerate([0.50, 0.54, 0.58]):
        run = start_run(tmp_path, f"seed{seed}")
        add_eval(
            run, "gsm8k", [0, 1], arm="sso", iteration=1, seed=seed, value=share * 100, stderr=3.0
        )
        runs.append(run)
    (row,) = over_seeds(load_runs(runs))
    assert (row["value"], row["seeds"]) == (pytest.approx(54.0), 3)
    assert row["seed_sd"] == pytest.approx(4.0)
    assert row["stderr"] == pytest.approx(math.hypot(3.0, 4 / math.sqrt(3)))
    half = math.hypot(1.959964 * 3, stats.t.ppf(0.975, 2) * 4 / math.sqrt(3))
    assert row["ci_high"] - row["value"] == pytest.approx(half)


def test_one_seed_keeps_its_own_figures(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [0, 1, 1, 1], ci_low=40.0, ci_high=99.0)
    (row,) = over_seeds(load_runs([run]))
    assert (row["value"], row["ci_low"], row["ci_high"], row["seeds"]) == (75.0, 40.0, 99.0, 1)
    assert np.isnan(row["seed_sd"])


def test_the_room_imports_nothing_heavy():
    code = "import sys, leaderboards; print([m for m in ('pandas','numpy','scipy','matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(hasattr(leaderboards, name) for name in leaderboards.__all__)
