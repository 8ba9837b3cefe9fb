"""The trainer's own additions: packing into one mean, the warm-up, dropout off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from sso.fast_forward import ForwardPlan, install_forward
from sso.objectives import Objective
from sso.settings import LossSettings
from sso.trainer import PreferenceTrainer, StepSettings
from tests.architectures import build
from tests.sso.training_examples import encode, load


def trainer(model: Any, groups: Any, folder: Path, **changes: Any) -> PreferenceTrainer:
    plan = ForwardPlan(shared_prefix=False)
    install_forward(model, plan)
    options = {"micro_tokens": 10_000, "plan": plan, **changes}
    return PreferenceTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder), max_steps=4, warmup_steps=2, learning_rate=1.0,
            lr_scheduler_type="linear", report_to="none", use_cpu=True,
        ),
        steps=[list(groups)],
        how=StepSettings(Objective("pair"), LossSettings(kind="dpo"), **options),
        work=folder,
    )  # fmt: skip


@pytest.mark.parametrize("micro_tokens", [64, 100_000])
def test_a_step_is_the_mean_over_its_groups_however_it_is_packed(
    micro_tokens: int, tiny_model_dir: Path, tmp_path: Path
) -> None:
    model, _ = load(tiny_model_dir)
    groups = encode(tiny_model_dir, Objective("pair"))
    made = trainer(model, groups, tmp_path, micro_tokens=micro_tokens)
    made.create_optimizer_and_scheduler(4)
    made.make_references()
    loss = made.training_step(made.model, {"groups": list(groups)})
    assert float(loss) == pytest.approx(0.6931472, abs=1e-5)
    norm = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()
    model.zero_grad()
    single = trainer(model, groups, tmp_path)
    single.make_references()
    single.training_step(single.model, {"groups": list(groups)})
    other = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(float(other), rel=1e-4)


def test_the_warm_up_is_one_half_then_one_then_the_schedule(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    model, _ = load(tiny_model_dir)
    made = trainer(model, encode(tiny_model_dir, Objective("pair")), tmp_path)
    made.create_optimizer_and_scheduler(4)
    rates = []
    for _ in range(4):
        rates.append(made.optimizer.param_groups[0]["lr"])
        made.optimizer.step()
        made.lr_scheduler.step()
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.5])


def test_two_passes_in_training_mode_are_the_same(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = build("opt")
    groups = encode(tiny_model_dir, Objective("pair"))
    made = trainer(model, groups, tmp_path)
    made.make_references()
    losses = {
        float(made.training_step(made.model, {"groups": list(groups)}).detach()) for _ in range(3)
    }
    assert len(losses) == 1
    asked = trainer(model, groups, tmp_path, dropout=True)
    asked.make_references()
    losses = {
        float(asked.training_step(asked.model, {"groups": list(groups)}).detach()) for _ in range(3)
    }
    assert len(losses) == 3
