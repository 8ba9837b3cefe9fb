"""A number that is not finite names its pairs."""

from __future__ import annotations

import pytest
import torch

from groundwork.errors import UserError
from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair
from sso.guards import check_losses, gradient_error


def groups(n: int) -> list[EncodedGroup]:
    branch = EncodedBranch((1,), ((2,), (3,)))
    return [
        EncodedGroup(f"q{i}", (branch,), {"policy": EncodedPair(f"q{i}/policy", 0, 0, 1)})
        for i in range(n)
    ]


def test_finite_losses_pass() -> None:
    losses = torch.tensor([0.0, -1e30])
    check_losses(losses, groups(2), step=1)
    with pytest.raises(UserError):
        check_losses(losses * 1e30, groups(2), step=1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_only_the_pairs_of_bad_losses_are_named(bad: float) -> None:
    with pytest.raises(UserError, match=r"^step 3: the loss is not finite for pairs 'q1/policy'$"):
        check_losses(torch.tensor([0.5, bad, 0.5]), groups(3), step=3)


def test_many_pairs_are_counted_not_listed() -> None:
    text = str(gradient_error(groups(11), 2, found=False))
    assert text.startswith("step 2: the gradient is not finite in the batch of pairs 'q0/policy', ")
    assert text.endswith("'q7/policy' and 3 more")
