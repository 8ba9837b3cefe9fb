"""Dropout, layer drop and router jitter of a model: named, and switched off while it trains."""

from __future__ import annotations

from typing import Any

import torch

_MARKS = ("drop", "jitter")


def random_parts(config: Any) -> dict[str, float]:
    """The configuration's rates of randomness in training that are not 0, by name."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    found = {}
    for name, value in text.to_dict().items():
        if isinstance(value, float) and value and any(mark in name for mark in _MARKS):
            found[name] = value
    return found


def train_without_randomness(model: Any) -> None:
    """Training mode in which two forward passes are the same.

    Everything is in evaluation mode but the layers that recompute their activations (gradient
    checkpointing works in training mode only), whose own rates are set to 0, and adapters' dropout, which
    the training's settings ask for.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    model.eval()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and "lora_dropout" in name:
            module.train()
        if isinstance(module, GradientCheckpointingLayer) and getattr(
            module, "gradient_checkpointing", False
        ):
            module.training = True
            for key, value in vars(module).items():
                if isinstance(value, float) and any(mark in key for mark in _MARKS):
                    setattr(module, key, 0.0)
