"""The arm of annotated preferences."""

from __future__ import annotations

from typing import Any

from sso.arms import get_arm
from tests.sso.arm_loop import Loop


def test_ultrafeedback(loop: Loop, trainings: list[dict[str, Any]]) -> None:
    loop.run(get_arm("ultrafeedback"))
    (policy,) = trainings
    assert policy["objective"] == "pair"
    assert [(g.id, g.pairs[0].kind, g.pairs[0].chosen) for g in policy["groups"]] == [
        (f"r{i}", "annotated", f"yes {i}") for i in range(3)
    ]
    result = loop.results["pairs"]
    assert result.counts["pairs"] == 3
    assert {"chosen_logp", "rejected_logp", "chosen_gap"} <= set(result.measures)
