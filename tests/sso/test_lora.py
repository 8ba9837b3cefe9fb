"""Adapters: seeded, merged by key, refused where they would be ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from groundwork.errors import UserError
from sso.lora import adapter_state, adapters_of, add_lora, checkpoint_files, merge_adapters
from sso.settings import LoraSettings
from tests.architectures import save


def adapted(folder: Path, seed: int = 1, **lora: Any) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return add_lora(model, LoraSettings(**{"rank": 2, **lora}), seed)


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "phi-dropout"])
def test_merging_by_key_gives_the_model_with_its_adapters(
    name: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """Also where the checkpoint holds weights transposed (GPT-2) or under other prefixes."""
    source = save(name, tmp_path / "source", tiny_model_dir)
    model = adapted(source)
    torch.manual_seed(3)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * 0.05
    model.eval()
    ids = torch.tensor([[5, 9, 17, 40, 3]])
    with torch.no_grad():
        expected = model(ids).logits
    out = tmp_path / "out"
    out.mkdir()
    merge_adapters(source, out, adapters_of(model, source), adapter_state(model), torch.float32)
    (out / "config.json").write_bytes((source / "config.json").read_bytes())
    assert checkpoint_files(out).keys() == checkpoint_files(source).keys()
    merged = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, expected, atol=1e-4)


def test_a_sharded_checkpoint_keeps_its_files(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    model.save_pretrained(tmp_path / "source", max_shard_size="40KB")
    policy = adapted(tmp_path / "source")
    out = tmp_path / "out"
    out.mkdir()
    found = adapters_of(policy, tmp_path / "source")
    merge_adapters(tmp_path / "source", out, found, adapter_state(policy), torch.bfloat16)
    files = sorted(p.name for p in (tmp_path / "source").glob("*.safetensors*"))
    assert len(files) > 2
    assert sorted(p.name for p in out.glob("*.safetensors*")) == files
    assert all(v.dtype == torch.bfloat16 for v in load_file(out / files[0]).values())


def test_the_seed_decides_the_adapters(tiny_model_dir: Path) -> None:
    first, again, other = (adapter_state(adapted(tiny_model_dir, seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_adapters_of_the_output_layer_are_refused(target: str, tiny_model_dir: Path) -> None:
    with pytest.raises(UserError, match=f"{target} is the embedding or the output layer"):
        adapted(tiny_model_dir, target_modules=("q_proj", target))


def test_targets_that_no_layer_has_are_named(tiny_model_dir: Path) -> None:
    with pytest.raises(UserError, match=r"lora\.target_modules: .*nothing_proj"):
        adapted(tiny_model_dir, target_modules=("nothing_proj",))


def test_a_layer_that_the_checkpoint_does_not_hold_is_named(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    weights = load_file(tiny_model_dir / "model.safetensors")
    gone = next(k for k in weights if k.endswith("q_proj.weight"))
    save_file({k: v for k, v in weights.items() if k != gone}, tmp_path / "model.safetensors")
    with pytest.raises(
        UserError, match=r"has no tensor model\.layers\.0\.self_attn\.q_proj\.weight"
    ):
        adapters_of(adapted(tiny_model_dir), tmp_path)
