"""Losses against hand calculation and against the authors' first-version loss code."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from sso.losses import (
    PairLogps,
    base_loss,
    dpo_loss,
    ipo_loss,
    joint_loss,
    objective_loss,
    self_steering_weight,
    sso_loss,
)
from sso.objectives import Objective
from sso.settings import LossSettings


def pair(chosen: float, rejected: float, ref_c: float, ref_r: float, n: int, m: int) -> PairLogps:
    values = (chosen, rejected, ref_c, ref_r, n, m)
    return PairLogps(*(torch.tensor([float(v)], dtype=torch.float64) for v in values))


# r(chosen) = 2, r(rejected) = -3; 4 and 6 tokens
QUERY = pair(-8.0, -15.0, -10.0, -12.0, 4, 6)
# r(chosen) = 1, r(rejected) = 0.5; 5 and 2 tokens
GOOD = pair(-9.0, -3.5, -10.0, -4.0, 5, 2)
# r(chosen) = 0, r(rejected) = 2; 10 and 5 tokens
BAD = pair(-20.0, -13.0, -20.0, -15.0, 10, 5)


def test_dpo_by_hand() -> None:
    # beta (2 - -3) = 0.5
    assert dpo_loss(QUERY, 0.1).item() == pytest.approx(math.log(1 + math.exp(-0.5)))


def test_ipo_uses_averages_per_token() -> None:
    # d = 2/4 - -3/6 = 1; target 1 / (2 * 0.1) = 5
    assert ipo_loss(QUERY, 0.1).item() == pytest.approx(16.0)


def test_generator_by_hand() -> None:
    # IPO: d+ = 1/5 - 0.5/2 = -0.05, d- = 0/10 - 2/5 = -0.4; averages -9/5 and -20/10
    settings = LossSettings(kind="ipo", beta=0.1, gamma=0.1)
    expected = 5.05**2 + 5.4**2 - 0.1 * (-1.8 - 2.0)
    assert sso_loss(GOOD, BAD, settings).item() == pytest.approx(expected)


def test_weight_by_hand() -> None:
    # averages -2 and -2.5: sigmoid(0.66 * 2 + 0.34 * 2.5) = sigmoid(2.17)
    weight = self_steering_weight(QUERY, 0.66)
    assert weight.item() == pytest.approx(1 / (1 + math.exp(-2.17)))


@pytest.mark.parametrize(
    ("use_w", "use_g", "expected"),
    [
        (True, True, lambda q, g, w: q + w * 0.1 * g),
        (False, True, lambda q, g, w: q + 0.1 * g),
        (True, False, lambda q, g, w: w * q),
        (False, False, lambda q, g, w: q),
    ],
)
def test_joint_and_its_ablations(use_w: bool, use_g: bool, expected) -> None:
    settings = LossSettings(kind="ipo", beta=0.1, beta_g=0.1, alpha=0.5)
    weight = 1 / (1 + math.exp(-2.25))
    steering = 5.05**2 + 5.4**2
    found = joint_loss(QUERY, GOOD, BAD, settings, use_w=use_w, use_g=use_g)
    assert found.item() == pytest.approx(expected(16.0, steering, weight))


def test_joint_with_g_needs_both_principles() -> None:
    with pytest.raises(ValueError, match="needs the pairs"):
        joint_loss(QUERY, GOOD, None, LossSettings())


def test_weight_gradient_switch() -> None:
    gradients = []
    for switch in (True, False):
        chosen = torch.tensor([-8.0], dtype=torch.float64, requires_grad=True)
        query = PairLogps(chosen, *list(vars(QUERY).values())[1:])
        settings = LossSettings(kind="ipo", w_gradient=switch)
        joint_loss(query, GOOD, BAD, settings).sum().backward()
        gradients.append(chosen.grad.item())
    weight = 1 / (1 + math.exp(-2.25))
    # d W / d logp(chosen) = -W (1 - W) alpha / tokens
    through = -weight * (1 - weight) * 0.5 / 4 * 0.1 * (5.05**2 + 5.4**2)
    assert gradients[0] - gradients[1] == pytest.approx(through)


@pytest.mark.parametrize("kind", ["ipo", "dpo"])
def test_a_sample_does_not_depend_on_its_batch_mates(kind: str) -> None:
    settings = LossSettings(kind=kind)  # type: ignore[arg-type]

    def stack(a: PairLogps, b: PairLogps) -> PairLogps:
        return PairLogps(
            *(torch.cat(v) for v in zip(vars(a).values(), vars(b).values(), strict=True))
        )

    both = {"policy": stack(QUERY, GOOD), "generator-good": stack(GOOD, BAD)}
    both["generator-bad"] = stack(BAD, QUERY)
    alone = {"policy": QUERY, "generator-good": GOOD, "generator-bad": BAD}
    for name in ("pair", "generator", "joint"):
        together = objective_loss(Objective(name), both, settings)  # type: ignore[arg-type]
        single = objective_loss(Objective(name), alone, settings)  # type: ignore[arg-type]
        assert together.shape == (2,)
        assert together[0].item() == pytest.approx(single.item(), rel=1e-12)


def test_base_loss_by_name() -> None:
    assert torch.equal(base_loss(QUERY, "ipo", 0.3), ipo_loss(QUERY, 0.3))
    assert torch.equal(base_loss(QUERY, "dpo", 0.3), dpo_loss(QUERY, 0.3))


def _case_loss(case: dict) -> float:
    """Our mean loss of one reference case."""
    pairs = {
        name: PairLogps(
            *(
                torch.tensor(values[key], dtype=torch.float64)
                for key in (
                    "chosen_logp",
                    "rejected_logp",
                    "ref_chosen_logp",
                    "ref_rejected_logp",
                    "chosen_tokens",
                    "rejected_tokens",
                )
            )
        )
        for name, values in case["pairs"].items()
    }
    settings = LossSettings(
        kind={"ipo": "ipo", "sigmoid": "dpo"}[case["loss"]],
        beta=case["beta"],
        alpha=case["w_alpha"],
        beta_g=case["g_weight"],
    )
    loss = joint_loss(
        pairs["query"],
        pairs["good"],
        pairs["bad"],
        settings,
        use_w=case["use_w"],
        use_g=case["use_g"],
    )
    return float(loss.mean())


def test_reference_cases_of_the_first_version(reference_dir: Path) -> None:
    """Two seeds, two losses, three settings of the switches, computed by the authors' code."""
    cases = json.loads((reference_dir / "sso_joint_loss_cases.json").read_text())
    assert len(cases) == 12
    for case in cases:
        assert _case_loss(case) == pytest.approx(case["expected_loss"], abs=1e-4), case["loss"]
