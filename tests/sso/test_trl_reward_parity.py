"""Reward training through our packed batches equals TRL's RewardTrainer, loss and gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sso.records import PreferencePair
from sso.reward_model import RewardTrainer, train_reward
from sso.settings import MethodSettings, TrainingSettings
from sso.training import TrainingRun
from tests.sso.training_examples import make_groups

trl = pytest.importorskip("trl")


def pairs() -> list[PreferencePair]:
    return [p for group in make_groups(4) for p in group.pairs if p.kind == "policy"]


def reward_model(folder: Path) -> Any:
    """The tiny model with a fresh head, as ``train_reward`` makes it with seed 5."""
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(5)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, dtype=torch.float32
    )
    model.config.pad_token_id = 0
    return model


class _SeenError(Exception):
    """The gradients of the first step are there."""


def test_loss_and_gradient_equal_trl(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    rows = []
    for pair in pairs():
        prompt = tokenizer.apply_chat_template(
            list(pair.prompt), tokenize=False, add_generation_prompt=True
        )
        rows.append({"chosen": prompt + pair.chosen, "rejected": prompt + pair.rejected})
    trainer = trl.RewardTrainer(
        model=reward_model(tiny_model_dir),
        args=trl.RewardConfig(
            output_dir=str(tmp_path / "trl"),
            per_device_train_batch_size=len(rows),
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=True,
            report_to="none",
            max_length=None,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(rows))])
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    gradient = {name: p.grad for name, p in trainer.model.named_parameters()}

    found: dict[str, Any] = {}

    def stop(trainer_here: Any, model: Any) -> None:
        found.update({name: p.grad.clone() for name, p in model.named_parameters()})
        raise _SeenError

    settings = TrainingSettings(batch_size=len(rows), report_to=())
    run = TrainingRun(tmp_path / "ours", tmp_path / "work", seed=5)
    monkeypatch.setattr(RewardTrainer, "_clip_grad_norm", stop)
    monkeypatch.setattr(RewardTrainer, "training_step", recording(found))
    with pytest.raises(_SeenError):
        train_reward(tiny_model_dir, pairs(), MethodSettings(training=settings), run)
    assert found.pop("loss") == pytest.approx(float(loss), rel=1e-5)
    largest = max(float(g.abs().max()) for g in gradient.values())
    assert largest > 1e-3
    assert found.keys() == gradient.keys()
    for name, ours in found.items():
        assert float((ours - gradient[name]).abs().max()) < 1e-5 * max(1.0, largest), name


def recording(found: dict[str, Any]) -> Any:
    """``training_step`` that also keeps the step's loss."""
    usual = RewardTrainer.training_step

    def step(trainer: Any, model: Any, inputs: Any, items: Any = None) -> Any:
        loss = usual(trainer, model, inputs, items)
        found["loss"] = float(loss)
        return loss

    return step
