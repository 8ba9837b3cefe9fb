"""DPO and IPO through our packed batches equal TRL's DPOTrainer, loss and gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sso.batches import packed_batch
from sso.fast_forward import ForwardPlan, completion_logprobs
from sso.objectives import Objective
from sso.reference_logprobs import split_by_group
from sso.settings import LossSettings
from tests.conftest import build_tiny_model
from tests.sso.training_examples import encode, load, loss_and_gradient, make_groups

trl = pytest.importorskip("trl")


@pytest.mark.parametrize("kind", ["dpo", "ipo"])
def test_loss_and_gradient_equal_trl(tiny_model_dir: Path, tmp_path: Path, kind: str) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM

    other = build_tiny_model(tmp_path / "reference", seed=1)
    model, tokenizer = load(tiny_model_dir)
    reference, _ = load(other)
    rows = []
    for group in make_groups(4):
        pair = next(p for p in group.pairs if p.kind == "policy")
        prompt = tokenizer.apply_chat_template(
            list(pair.prompt), tokenize=False, add_generation_prompt=True
        )
        rows.append({"prompt": prompt, "chosen": pair.chosen, "rejected": pair.rejected})
    theirs = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    trainer = trl.DPOTrainer(
        model=theirs,
        ref_model=AutoModelForCausalLM.from_pretrained(other, dtype=torch.float32),
        args=trl.DPOConfig(
            output_dir=str(tmp_path),
            loss_type={"dpo": "sigmoid", "ipo": "ipo"}[kind],
            beta=0.1,
            per_device_train_batch_size=4,
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=True,
            report_to="none",
            max_length=None,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    expected = trainer.compute_loss(trainer.model, batch)
    expected.backward()
    gradient = {name: p.grad for name, p in trainer.model.named_parameters()}

    groups = encode(tiny_model_dir, Objective("pair"))
    packed = packed_batch(groups)
    assert len(packed.targets) == int(batch["completion_mask"].sum()), "the same tokens"
    with torch.no_grad():
        references = split_by_group(completion_logprobs(reference, packed, ForwardPlan()), groups)
    settings = LossSettings(kind=kind, beta=0.1)  # type: ignore[arg-type]
    loss, _ = loss_and_gradient(
        model, [packed], ForwardPlan(), references, Objective("pair"), settings
    )
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    largest = max(float(g.abs().max()) for g in gradient.values())
    assert largest > 1e-3
    for name, parameter in model.named_parameters():
        assert float((parameter.grad - gradient[name]).abs().max()) < 1e-5 * max(1.0, largest), name
