"""One optimizer step by hand: margins, accuracies, KL, order and shares."""

from __future__ import annotations

import math

import pytest
import torch

from sso.batches import plain_batch
from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair
from sso.objectives import Objective
from sso.settings import LossSettings
from sso.step_math import measures_of, micro_result, training_order


def group(name: str) -> EncodedGroup:
    branch = EncodedBranch((1,), ((5, 6), (7,)))
    return EncodedGroup(name, (branch,), {"policy": EncodedPair(name, 0, 0, 1)})


def test_a_step_by_hand() -> None:
    """One pair, chosen of 2 tokens and rejected of 1; references differ by -0.5, 0, 1."""
    batch = plain_batch([group("a")])
    logps = torch.tensor([-1.0, -2.0, -3.0])
    references = {"a": torch.tensor([-0.5, -2.0, -4.0])}
    result = micro_result(
        logps, batch, references, Objective("pair"), LossSettings(kind="dpo", beta=0.2)
    )
    margin = 0.2 * ((-3.0 + 2.5) - (-3.0 + 4.0))
    assert result.sums["margin/policy"] == pytest.approx(margin)
    assert float(result.losses) == pytest.approx(-math.log(1 / (1 + math.exp(-margin))))
    assert result.sums["accuracy/policy"] == 0
    kl = sum(math.exp(d) - 1 - d for d in (-0.5, 0.0, 1.0))
    measures = measures_of(result.sums)
    assert measures["kl_to_ref"] == pytest.approx(kl / 3)
    assert measures["margin/policy"] == pytest.approx(margin)


def test_margins_of_ipo_are_per_token() -> None:
    batch = plain_batch([group("a")])
    logps, references = torch.tensor([-1.0, -1.0, -1.0]), {"a": torch.tensor([-2.0, -2.0, -2.0])}
    result = micro_result(logps, batch, references, Objective("pair"), LossSettings(kind="ipo"))
    assert result.sums["margin/policy"] == pytest.approx(0.0)  # 2 / 2 - 1 / 1


@pytest.mark.parametrize(
    ("epochs", "sizes"), [(1.0, [4, 4, 2]), (0.5, [4, 1]), (2.0, [4, 4, 2] * 2)]
)
def test_training_order(epochs: float, sizes: list[int]) -> None:
    order = training_order(10, epochs, 4, seed=1)
    assert [len(batch) for batch in order] == sizes
    assert order == training_order(10, epochs, 4, seed=1)
    assert order != training_order(10, epochs, 4, seed=2)
    flat = [i for batch in order for i in batch]
    assert all(flat.count(i) <= math.ceil(epochs) for i in range(10))
