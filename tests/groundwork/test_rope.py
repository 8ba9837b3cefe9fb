"""Rotary angles that follow the length: how far they don't, and that no sequence leaves a trace."""

from __future__ import annotations

import copy

import pytest
import torch

from groundwork.rope import forget_lengths, length_limit
from tests.architectures import build


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("llama", None),
        ("llama-yarn", None),
        ("llama-llama3-rope", None),
        ("gpt2", None),
        ("mamba", None),
        ("llama-dynamic-ntk", 24),
        ("phi3-longrope", 24),
        ("gemma3", None),  # one set of parameters per kind of layer
    ],
)
def test_length_limit(name: str, limit: int | None) -> None:
    assert length_limit(build(name).config) == limit


def test_dynamic_ntk_forgets_the_longest_sequence() -> None:
    model = build("llama-dynamic-ntk")
    long, longer = torch.arange(3, 33)[None], torch.arange(3, 90)[None]
    with torch.inference_mode():
        alone = copy.deepcopy(model)(long).logits
        model(longer)
        assert not torch.allclose(model(long).logits, alone, atol=1e-3)
        forget_lengths(model)
        torch.testing.assert_close(model(long).logits, alone)
