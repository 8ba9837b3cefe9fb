"""Shapes: weights as published, from the table or from a folder's config.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from groundwork.files import read_json
from harness.config import load_config, preset_names
from harness.planning.shapes import shape_from, shape_of


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("Qwen/Qwen2-7B-Instruct", 7_615_616_512),
        ("Qwen/Qwen2.5-72B-Instruct", 72_706_203_648),
        ("Qwen/Qwen2.5-3B-Instruct", 3_085_938_688),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
    ],
)
def test_the_number_of_weights_is_the_published_one(model: str, weights: int) -> None:
    assert shape_of(model).weights == weights


def test_a_folder_has_the_shape_of_its_config(tiny_model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    shape = shape_of(str(tiny_model_dir))
    assert shape.weights == sum(p.numel() for p in model.parameters())
    assert shape == shape_from(read_json(tiny_model_dir / "config.json"))


def test_every_preset_has_a_shape() -> None:
    for name in preset_names():
        config = load_config(name)
        if config.methods:
            assert shape_of(config.model, name).weights > 0, name
        if config.writer.model:
            assert shape_of(config.writer.model).weights > 0, name


def test_an_unknown_model_names_the_nearest_and_the_way_out() -> None:
    with pytest.raises(UserError, match=r"did you mean 'Qwen/Qwen2-7B'.*config\.json"):
        shape_of("Qwen/Qwen2-7b")
    with pytest.raises(UserError, match="no decoder"):
        shape_from({"model_type": "t5"})
