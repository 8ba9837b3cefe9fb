"""The one attention of our own: plain without a layout, the layout's with one, refused where it can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from groundwork.attention import NAME, attention, switch_attention, unsupported


class Doubled:
    """A layout that notes its calls and gives twice the values."""

    longest = 5

    def __init__(self) -> None:
        self.layers: list[int] = []

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **_: Any
    ) -> torch.Tensor:
        self.layers.append(layer)
        return 2 * value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)


def test_without_a_layout_it_is_the_models_own(tiny_model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval()
    ids = torch.arange(3, 30)[None]
    expected = model(ids).logits
    assert switch_attention(model) == "sdpa"
    assert model.config._attn_implementation == NAME
    torch.testing.assert_close(model(ids).logits, expected)
    layout = Doubled()
    assert not torch.allclose(model(ids, attention_layout=layout).logits, expected, atol=1e-2)
    assert layout.layers == [0, 1]
    assert switch_attention(model, "sdpa") == NAME


@pytest.mark.parametrize(
    ("options", "longest", "reason"),
    [
        ({}, 10**9, ""),
        ({"scaling": 0.5, "dropout": 0.0, "s_aux": None}, 9, ""),
        ({"s_aux": torch.ones(2)}, 9, "'s_aux'"),
        ({"softcap": 50.0}, 9, "'softcap'"),
        ({"sliding_window": 8}, 9, "looks back 8 tokens"),
        ({"sliding_window": 9}, 9, ""),
        ({"sliding_window": None}, 9, ""),
    ],
)
def test_parts_that_no_layout_computes(options: dict[str, Any], longest: int, reason: str) -> None:
    found = unsupported(options, longest)
    assert reason in found
    assert bool(found) == bool(reason)


def test_sinks_raise_and_are_not_ignored() -> None:
    tensors = [torch.ones(1, 2, 3, 4)] * 3
    with pytest.raises(ValueError, match="its attention takes 's_aux'"):
        attention(
            torch.nn.Identity(), *tensors, None, attention_layout=Doubled(), s_aux=torch.ones(2)
        )
