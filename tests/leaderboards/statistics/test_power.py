"""Smallest detectable difference and power."""

import math

import pytest

from leaderboards.statistics.power import (
    achieved_power,
    detectable_difference,
)


def test_detectable_difference_and_power_are_inverse():
    d = detectable_difference(1.3)
    assert d == pytest.approx(1.3 * (1.959964 + 0.841621), rel=1e-6)
    assert achieved_power(d, 1.3) == pytest.approx(0.8, abs=1e-4)
    assert achieved_power(0, 1.3) == pytest.approx(0.05)
    assert detectable_difference(1.3, comparisons=8) > d


def test_power_is_statsmodels_normal_power():
    power = pytest.importorskip("statsmodels.stats.power")
    expected = power.NormalIndPower(ddof=0).power(0.4, nobs1=50, alpha=0.05, ratio=0)
    assert achieved_power(0.4, 1 / math.sqrt(50)) == pytest.approx(expected, rel=1e-6)
