"""The ablation of SSO whose generator is trained under x- alone."""

from __future__ import annotations

from typing import Any

from sso.arms import get_arm
from tests.sso.arm_loop import Loop, kinds


def test_the_generators_loss_is_that_of_l_minus(
    loop: Loop, trainings: list[dict[str, Any]]
) -> None:
    loop.run(get_arm("sso-minus"))
    generator, policy = trainings
    assert (generator["objective"], policy["objective"]) == ("generator-minus", "pair")
    for group in generator["groups"]:
        assert ("generator-bad", "original", "good") in kinds(group)
