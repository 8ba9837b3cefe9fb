"""Trends of a history."""

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards.history import add
from leaderboards.history_series import series, show
from leaderboards.plots import history_figure, save
from tests.leaderboards.example_runs import dated_run


def test_level_shifts_and_plot(url, tmp_path):
    rng = np.random.default_rng(0)
    for day in range(16):
        share = (0.5 if day < 9 else 0.65) + rng.normal(0, 0.01)
        add(
            [dated_run(tmp_path, f"r{day}", share, f"2026-02-{day + 1:02}T00:00:00")],
            url,
            branch="main",
        )
    (one,) = series(url)
    (change,) = one.changes()
    assert change.index == 9
    assert change.difference == pytest.approx(15, abs=1.5)
    assert "← level shift +1" in show(url)
    path = save(history_figure(series(url)), tmp_path / "trend.svg")
    assert path.read_text().count("<svg") == 1
    with pytest.raises(UserError, match=r"written as \.pdf, \.svg, \.png"):
        save(history_figure(series(url)), tmp_path / "trend.gif")
