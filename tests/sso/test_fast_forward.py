"""Every way to drive a model gives one loss and one gradient."""

from __future__ import annotations

from pathlib import Path

import pytest

from sso.settings import LossSettings
from tests.sso.training_examples import (
    OBJECTIVES,
    encode,
    load,
    loss_and_gradient,
    moved_references,
    plans,
)


@pytest.mark.parametrize("kind", ["ipo", "dpo"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_batching_changes_loss_or_gradient(tiny_model_dir: Path, name: str, kind: str) -> None:
    model, _ = load(tiny_model_dir)
    objective = OBJECTIVES[name]
    settings = LossSettings(kind=kind)  # type: ignore[arg-type]
    groups = encode(tiny_model_dir, objective)
    references = moved_references(model, groups)
    results = {
        how: loss_and_gradient(model, batches, plan, references, objective, settings)
        for how, (batches, plan) in plans(groups).items()
    }
    expected_loss, expected = results.pop("plain, whole logits, one batch")
    scale = float(expected.abs().max())
    assert scale > 1e-3
    for how, (loss, gradient) in results.items():
        assert loss == pytest.approx(expected_loss, rel=2e-5), how
        assert float((gradient - expected).abs().max()) < 2e-5 * scale, how
