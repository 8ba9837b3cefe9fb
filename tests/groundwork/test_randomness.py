"""The randomness of a configuration: named, and off in training."""

from __future__ import annotations

import pytest
import torch

from groundwork.randomness import random_parts, train_without_randomness
from tests.architectures import build

IDS = torch.arange(3, 40)[None]


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("llama", {}),
        ("gpt2", {"attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1}),
        ("mixtral-jitter", {"router_jitter_noise": 0.1}),
    ],
)
def test_rates_are_named(name: str, rates: dict[str, float]) -> None:
    found = random_parts(build(name).config)
    assert {k: v for k, v in found.items() if k != "summary_first_dropout"} == rates


@pytest.mark.parametrize("name", ["gpt2", "opt", "mixtral-jitter", "starcoder2", "phi-dropout"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_two_passes_are_the_same_with_gradients(name: str, checkpointing: bool) -> None:
    model = build(name)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    assert not torch.equal(model(IDS).logits, model(IDS).logits)
    train_without_randomness(model)
    first = model(input_ids=IDS, use_cache=False).logits
    assert torch.equal(first, model(input_ids=IDS, use_cache=False).logits)
    first.sum().backward()
    assert all(p.grad is not None for p in model.get_input_embeddings().parameters())


def test_layers_go_on_recomputing_where_checkpointing_is_on() -> None:
    model = build("gpt2")
    model.gradient_checkpointing_enable({"use_reentrant": False})
    train_without_randomness(model)
    layers = [m for m in model.modules() if getattr(m, "gradient_checkpointing", False)]
    assert any(layer.training for layer in layers)
    assert not any(m.training for m in model.modules() if isinstance(m, torch.nn.Dropout))


def test_dropout_of_adapters_stays(tiny_model_dir: object) -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, lora_dropout=0.5, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(build("llama"), config)
    train_without_randomness(model)
    on = [
        name for name, m in model.named_modules() if isinstance(m, torch.nn.Dropout) and m.training
    ]
    assert on
    assert all("lora_dropout" in name for name in on)
