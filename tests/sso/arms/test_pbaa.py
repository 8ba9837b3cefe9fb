"""Modified PBAA: the policy's own contrasts, one training."""

from __future__ import annotations

from typing import Any

from sso.arms import get_arm
from tests.sso.arm_loop import QUERIES, Loop, kinds


def test_one_training_on_its_pairs(loop: Loop, trainings: list[dict[str, Any]]) -> None:
    loop.run(get_arm("pbaa"))
    (policy,) = trainings
    assert policy["objective"] == "pair"
    assert policy["model"] == loop.policy
    expected = [("policy", "good", "bad")]
    assert [kinds(g) for g in policy["groups"]] == [expected] * len(QUERIES)
    judged = loop.lines("sample/pairs.jsonl")
    assert [(p["kind"], p["query_id"]) for p in judged] == [("policy", q.id) for q in QUERIES]
