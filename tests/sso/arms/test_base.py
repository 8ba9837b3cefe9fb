"""The contract that every arm keeps."""

from __future__ import annotations

from typing import Any

import pytest

from sso.arms import get_arm
from tests.sso.arm_loop import NAMES, Loop


@pytest.mark.parametrize("name", NAMES)
def test_steps_read_only_what_came_before(name: str) -> None:
    arm = get_arm(name)
    known = {"policy", "preferences"} if arm.uses_preferences else {"policy"}
    for step in arm.steps:
        assert set(step.inputs) <= known
        known.add(step.name)
    assert arm.steps[-1].kind == "train"
    assert arm.judged in known
    assert set(arm.steps[0].settings) <= {"principles", "sampling"}
    assert arm.uses_queries != arm.uses_preferences


@pytest.mark.parametrize("name", NAMES)
def test_every_arm_leaves_the_pairs_that_are_judged(
    name: str, loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    arm = get_arm(name)
    loop.run(arm)
    pairs = loop.lines(f"{arm.judged}/pairs.jsonl")
    quality = loop.lines(f"{arm.judged}/quality.jsonl")
    assert [q["pair_id"] for q in quality] == [p["id"] for p in pairs]
    assert {q["chosen_logp"] for q in quality} == {-1.0}  # the fake engine's nat a token
    measures = loop.results[arm.judged].measures
    assert measures["logp_margin"] == measures["rejected_gap"] == 0.0
    # Pairs are looked at from the policy's side, whoever wrote them.
    assert set(loop.engines) <= {"policy", "generator"}
    assert not [e for n, e in loop.engines.items() if n == "generator" and e.scored]
    assert all(p[0]["role"] == "user" for p, _ in loop.engines["policy"].scored)
