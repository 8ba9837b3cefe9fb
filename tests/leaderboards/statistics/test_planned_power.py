"""What a planned comparison can see."""

import pytest

from harness.benchmarks import get_benchmark
from leaderboards import prospect as prospect_of


def prospect(benchmark, items, **settings):
    return prospect_of(get_benchmark(benchmark).info, items, **settings)


@pytest.mark.parametrize(
    ("benchmark", "items", "points"),
    [
        ("gsm8k", 1319, 3.0),
        ("math", 5000, 2.0),
        ("math", 500, 6.0),
        ("gpqa", 198, 10.0),
        ("mmlu_pro", 12032, 1.2),
        ("alpaca_eval", 805, 3.5),
        ("mt_bench", 160, 0.6),
    ],
)
def test_orders_of_magnitude_at_full_size(benchmark, items, points):
    assert prospect(benchmark, items).detectable == pytest.approx(points, rel=0.05)


def test_power_at_the_detectable_difference():
    found = prospect("gsm8k", 400)
    assert prospect("gsm8k", 400, effect=found.detectable).power == pytest.approx(0.8, abs=1e-3)
    corrected = prospect("gsm8k", 400, effect=found.detectable, comparisons=8)
    assert corrected.power < 0.6
    assert corrected.detectable > found.detectable


def test_four_times_the_items_see_half_the_difference():
    assert prospect("math", 400).detectable == pytest.approx(2 * prospect("math", 1600).detectable)
    with pytest.raises(ValueError, match="not 0"):
        prospect("math", 0)
