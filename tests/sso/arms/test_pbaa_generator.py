"""PBAA with a generator: the choice that SSO corrects."""

from __future__ import annotations

from typing import Any

from sso.arms import get_arm
from tests.sso.arm_loop import QUERIES, Loop, kinds


def test_the_generator_trains_on_its_pairs_and_the_policy_on_fresh_ones(
    loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    """L- prefers y- to y+."""
    loop.run(get_arm("pbaa-generator"))
    generator, policy = trainings
    assert (generator["objective"], policy["objective"]) == ("generator", "pair")
    assert generator["model"] == policy["model"] == loop.policy
    assert generator["out"] == loop.root / "generator" / "model"
    assert policy["out"] == loop.root / "policy" / "model"
    assert [g.id for g in generator["groups"]] == [q.id for q in QUERIES]
    for group in generator["groups"]:
        assert kinds(group) == [
            ("generator-good", "good", "bad"),
            ("generator-bad", "bad", "good"),
        ]
        assert all(p.chosen.startswith("policy ") for p in group.pairs)
    for group in policy["groups"]:
        assert kinds(group) == [("policy", "good", "bad")]
        assert group.pairs[0].chosen.startswith("generator ")
        assert [m["role"] for m in group.pairs[0].prompt] == ["user"]
    assert loop.lines("pairs/pairs.jsonl") == [
        g.pairs[0].model_dump(mode="json") for g in policy["groups"]
    ]
