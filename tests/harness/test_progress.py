"""What a stage says of its pace."""

from __future__ import annotations

import pytest

from harness.progress import Pace


def test_items_found_done_do_not_speed_up_the_forecast() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    for done in range(1, 994):  # a resumed stage reports what it found at once
        now[0] += 1e-4
        pace.report(done)
    assert pace.left(1319) is None
    now[0] = 100.0 + 50.0
    pace.report(1043)
    assert pace.rate == pytest.approx(1.0, rel=1e-3)
    assert pace.left(1319) == pytest.approx(276, rel=1e-3)


def test_pace_of_a_fresh_stage() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.left(10) is None
    pace.report(0)
    now[0] = 4.0
    pace.report(2)
    assert pace.rate == pytest.approx(0.5)
    assert pace.left(10) == pytest.approx(16.0)
