"""The ablation of SSO whose generator is trained under x+ alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sso.arms import get_arm
from sso.batches import packed_batch
from sso.fast_forward import ForwardPlan
from sso.objectives import Objective
from sso.settings import LossSettings
from tests.sso.arm_loop import Loop
from tests.sso.training_examples import encode, load, loss_and_gradient, moved_references


def test_the_generators_loss_is_that_of_l_plus(loop: Loop, trainings: list[dict[str, Any]]) -> None:
    loop.run(get_arm("sso-plus"))
    generator, policy = trainings
    assert (generator["objective"], policy["objective"]) == ("generator-plus", "pair")


@pytest.mark.parametrize("kind", ["dpo", "ipo"])
def test_both_halves_add_up_to_the_loss_and_gradient_of_sso(
    tiny_model_dir: Path, kind: str
) -> None:
    model, _ = load(tiny_model_dir)
    settings = LossSettings(kind=kind, gamma=0.3)  # type: ignore[arg-type]
    whole = encode(tiny_model_dir, Objective("generator"))
    references = moved_references(model, whole)
    found = {}
    for name in ("generator", "generator-plus", "generator-minus"):
        objective = Objective(name)  # type: ignore[arg-type]
        groups = encode(tiny_model_dir, objective)
        own = references if name == "generator" else _of(references, whole, groups)
        batch = [packed_batch(groups)]
        found[name] = loss_and_gradient(model, batch, ForwardPlan(), own, objective, settings)
    (loss, gradient), (plus, of_plus), (minus, of_minus) = found.values()
    assert plus + minus == pytest.approx(loss, rel=1e-6)
    scale = max(1.0, float(gradient.abs().max()))
    assert float((of_plus + of_minus - gradient).abs().max()) < 1e-6 * scale
    assert float(of_plus.abs().max()) > 1e-3
    assert float(of_minus.abs().max()) > 1e-3


def _of(references: dict[str, torch.Tensor], whole: Any, part: Any) -> dict[str, torch.Tensor]:
    """The references of the completions that the halved groups kept, by prompt and tokens."""
    found = {}
    for group, kept in zip(whole, part, strict=True):
        pieces = iter(
            references[group.id].split([len(c) for b in group.branches for c in b.completions])
        )
        known = {(b.prompt, c): next(pieces) for b in group.branches for c in b.completions}
        rows = [known[b.prompt, c] for b in kept.branches for c in b.completions]
        found[kept.id] = torch.cat(rows)
    return found
