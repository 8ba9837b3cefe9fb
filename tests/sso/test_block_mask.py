"""FlexAttention's mask of a packed sequence, and attention behind it, against the dense mask and the parts."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.attention import flex_attention

from sso import block_mask as blocks
from sso import forward_probe
from sso.batches import BranchLayout, PackedLayout, packed_batch
from sso.block_mask import LEAST_TOKENS, AttentionShape, block_attention, block_mask
from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair
from sso.fast_forward import ForwardPlan, completion_logprobs
from sso.forward_probe import measure_untouched, probe_forward_plan
from sso.packed_attention import (
    PackedAttention,
    attention_in_parts,
    attention_shapes,
    check_kernel,
)
from tests.architectures import VOCABULARY, build

CUDA = torch.device("cuda")


def layout_of(seed: int) -> PackedLayout:
    """Three branches whose lengths lie at, before and beyond the edges of blocks; empty completions too."""
    draw = random.Random(seed)
    branches, at = [], 0
    for _ in range(3):
        prompt = draw.choice([1, 2, 60, 127, 128, 300])
        completions = tuple(
            draw.choice([0, 1, 5, 127, 128, 200]) for _ in range(draw.choice([1, 3]))
        )
        branches.append(BranchLayout(at, prompt, completions))
        at += prompt + sum(completions)
    return PackedLayout(tuple(branches), at)


def tensors(layout: PackedLayout, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    noise = torch.Generator().manual_seed(1)
    shapes = [(1, heads, layout.tokens, 16) for heads in (4, 2, 2)]
    return [torch.randn(shape, generator=noise).to(dtype) for shape in shapes]


@pytest.fixture
def backward_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch refuses FlexAttention's backward pass on a CPU, though its uncompiled form has one."""
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *tensors: None)


@pytest.mark.parametrize("seed", range(12))
def test_the_mask_is_the_dense_one_and_its_blocks_are_torchs_own(seed: int) -> None:
    layout = layout_of(seed)
    ours = block_mask(layout, "cpu")
    rows = torch.arange(layout.tokens)
    assert torch.equal(ours.mask_mod(None, None, rows[:, None], rows[None]), layout.mask())
    size = layout.tokens
    theirs = flex_attention.create_block_mask(ours.mask_mod, None, None, size, size, device="cpu")
    assert torch.equal(ours.to_dense(), theirs.to_dense())
    for name in ("kv_num_blocks", "full_kv_num_blocks", "q_num_blocks", "full_q_num_blocks"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("seed", [0, 1])
def test_output_and_gradients_equal_attention_in_parts(seed: int, backward_on_cpu: None) -> None:
    layout = layout_of(seed)
    mask = block_mask(layout, "cpu")
    leaves = [x.requires_grad_() for x in tensors(layout)]
    ours = block_attention(*leaves, mask, scale=0.3)
    parts = attention_in_parts(*leaves, layout, scaling=0.3)
    torch.testing.assert_close(ours, parts, atol=1e-5, rtol=1e-4)
    upstream = torch.randn_like(ours)
    found, expected = (torch.autograd.grad(out, leaves, upstream) for out in (ours, parts))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_under_autocast_it_runs_in_that_precision() -> None:
    layout = layout_of(0)
    query, key, value = tensors(layout)
    with torch.autocast("cpu", torch.bfloat16):
        found = block_attention(query, key.bfloat16(), value, block_mask(layout, "cpu"))
    assert found.dtype == torch.bfloat16


def test_short_sequences_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sso.packed_attention.block_attention", lambda *a, **b: pytest.fail("flex"))
    layout = PackedLayout((BranchLayout(0, 5, (3,)),), 8)
    assert layout.tokens < LEAST_TOKENS
    attention = PackedAttention(layout, torch.device("cpu"))
    assert attention.attend(0, *tensors(layout), scale=None).shape == (1, 4, 8, 16)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_a_kernel_with_other_numbers_is_refused(
    backward_on_cpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, cpu = AttentionShape(4, 2, 16, 24), torch.device("cpu")
    check_kernel(shape, torch.float32, cpu)
    right = blocks._kernel(False)
    monkeypatch.setattr(blocks, "_kernel", lambda compiled: lambda *a: right(*a) * 1.03)
    with pytest.raises(RuntimeError, match=r"differs from attention in parts by 0\.03"):
        check_kernel(shape, torch.float32, cpu)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++ on a CPU")
def test_compiled_once_for_all_lengths() -> None:
    kernel = blocks._kernel(True)
    torch.compiler.reset()
    for seed in range(4):
        layout = layout_of(seed)
        inputs = tensors(layout)
        with torch.no_grad(), torch.compiler.set_stance("fail_on_recompile" if seed else "default"):
            found = kernel(*inputs, block_mask(layout, "cpu"), 0.3)
        parts = attention_in_parts(*inputs, layout, scaling=0.3)
        torch.testing.assert_close(found, parts, atol=1e-5, rtol=1e-4)


def long_group() -> EncodedGroup:
    noise = torch.Generator().manual_seed(2)
    prompt, one, two = (
        tuple(torch.randint(3, VOCABULARY, (n,), generator=noise).tolist()) for n in (150, 90, 60)
    )
    pairs = {"policy": EncodedPair("g", 0, 0, 1)}
    return EncodedGroup("g", (EncodedBranch(prompt, (one, two)),), pairs)


def probed(monkeypatch: pytest.MonkeyPatch, *, sharded: bool = False) -> tuple[Any, ForwardPlan]:
    """A model and its plan, the probe believing that it is, or if sharded will be, on a GPU; the kernel is checked
    where the tests run."""
    monkeypatch.setattr(
        forward_probe,
        "check_kernel",
        lambda shape, dtype, device: check_kernel(shape, dtype, torch.device("cpu")),
    )
    model = build("llama")
    yardstick = measure_untouched(model, [long_group()])
    if not sharded:
        monkeypatch.setattr(forward_probe, "device_of", lambda model: CUDA)
    return model, probe_forward_plan(model, yardstick, sharded=sharded, device=CUDA)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("sharded", [False, True])
def test_the_probe_takes_it_on_a_gpu(
    sharded: bool, backward_on_cpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, plan = probed(monkeypatch, sharded=sharded)
    assert plan.block_mask, plan.notes
    assert not plan.notes
    batch = packed_batch([long_group()])
    assert batch.tokens >= LEAST_TOKENS
    masked, parts = (
        completion_logprobs(model, batch, p) for p in (plan, replace(plan, block_mask=False))
    )
    torch.testing.assert_close(masked, parts, atol=1e-5, rtol=1e-5)


def test_the_probe_leaves_it_out_where_it_does_not_compile() -> None:
    model = build("llama")
    plan = probe_forward_plan(model, measure_untouched(model, [long_group()]), device=CUDA)
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: it may compile")
    assert plan.shared_prefix
    assert not plan.block_mask
    assert len(plan.notes) == 1
    assert plan.notes[0].startswith("attention in parts instead of FlexAttention: ")


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_probe_leaves_it_out_where_the_model_differs(
    backward_on_cpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = blocks._kernel(False)

    def wrong_in_the_model(q: torch.Tensor, *others: Any) -> torch.Tensor:
        checked = q.shape[2] == 315  # the layout of ``check_kernel``
        return right(q, *others) if checked else torch.zeros_like(q)

    monkeypatch.setattr(blocks, "_kernel", lambda compiled: wrong_in_the_model)
    _, plan = probed(monkeypatch)
    assert not plan.block_mask
    assert "FlexAttention: a probe differs from the model's own" in plan.notes[0]


def test_a_cpu_keeps_the_parts() -> None:
    model = build("llama")
    assert not probe_forward_plan(model, measure_untouched(model, [long_group()])).block_mask


def test_the_shapes_are_those_that_the_model_asks_for() -> None:
    model = build("llama")
    plan = probe_forward_plan(model, measure_untouched(model, [long_group()]))
    with attention_shapes() as shapes:
        completion_logprobs(model, packed_batch([long_group()]), plan)
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    heads = (config.num_attention_heads, config.num_key_value_heads)
    assert shapes == {AttentionShape(*heads, width, width)}
