"""Change points of a history."""

import numpy as np
import pytest

from leaderboards.statistics.changes import change_points


def test_change_point_is_found_where_it_is():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(40, 1, 15), rng.normal(44, 1, 12)])
    (change,) = change_points(values, np.ones(27))
    assert change.index == 15
    assert change.difference == pytest.approx(4, abs=1.2)


def test_no_change_points_in_noise():
    rng = np.random.default_rng(5)
    alarms = sum(bool(change_points(rng.normal(size=20), np.ones(20))) for _ in range(100))
    assert alarms <= 5  # nominal 1 %; P(more than 5 of 100) < 0.001


def test_short_or_noisier_series():
    assert change_points([1, 9, 1], [0.1, 0.1, 0.1]) == []
    rng = np.random.default_rng(11)
    jumpy = rng.normal(0, 5, size=20)  # errors of 0.5 understate this scatter tenfold
    assert change_points(jumpy, np.full(20, 0.5)) == []
