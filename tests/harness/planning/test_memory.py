"""Parts of the memory by hand; the sums are checked against measurements by benchmarking/scale.py."""

from __future__ import annotations

import pytest

from harness.planning.memory import (
    Placement,
    engine_memory,
    group_tokens,
    smallest_change,
    training_memory,
)
from harness.planning.shapes import shape_of
from sso.settings import LoraSettings, TrainingSettings

LLAMA = shape_of("meta-llama/Llama-3.1-8B")
LEAN = TrainingSettings(precision="bf16", gradient_checkpointing=True)
N = 8_030_261_248


def test_sixteen_bytes_per_weight_alone_and_shared_by_eight() -> None:
    alone = training_memory(LLAMA, LEAN, Placement(), 8192).parts
    assert alone["weights"] + alone["gradients"] + alone["optimizer"] == 16 * N
    eight = training_memory(LLAMA, LEAN, Placement(8, sharded=True), 8192).parts
    assert eight["weights"] + eight["gradients"] + eight["optimizer"] == pytest.approx(2 * N)
    # two layers of 218,112,000 and an output layer of 525,336,576 weights in bf16
    assert eight["gathered"] == 2 * (2 * 218_112_000 + 525_336_576)
    copies = training_memory(LLAMA, LEAN, Placement(2), 8192).parts
    assert copies["buckets"] == 4 * N


def test_offload_leaves_activations_and_lora_only_adapters() -> None:
    away = training_memory(LLAMA, LEAN, Placement(2, True, True), 8192).parts
    assert away["weights"] == away["optimizer"] == 0
    lora = LEAN.model_copy(update={"lora": LoraSettings(rank=16)})
    parts = training_memory(LLAMA, lora, Placement(), 8192).parts
    # rank 16: per layer 16 * (q 8192 + k 5120 + v 5120 + o 8192 + 3 * 18432) = 1,310,720
    adapters = 32 * 16 * (8192 + 5120 + 5120 + 8192 + 3 * 18432)
    assert adapters == 41_943_040
    assert parts["optimizer"] == 8 * adapters
    assert parts["weights"] == 2 * N + 4 * adapters


def test_checkpointing_keeps_a_layers_input_only() -> None:
    plain = LEAN.model_copy(update={"gradient_checkpointing": False})
    kept = training_memory(LLAMA, plain, Placement(), 8192).parts
    lean = training_memory(LLAMA, LEAN, Placement(), 8192).parts
    assert lean["inputs of layers"] == 32 * 8192 * 4096 * 2
    # bf16: 4 * 4096 + 2 * 4096 + 3 * 1024 + 4 * 14336 elements, and 4 * 4096 in float32
    assert kept["activations"] == 32 * 8192 * (2 * 84_992 + 4 * 16_384)


def test_a_pass_holds_the_budget_or_one_whole_group() -> None:
    settings = TrainingSettings(micro_tokens=1000, max_length=2048)
    assert group_tokens(settings, "pair", 100) == 1100
    assert group_tokens(settings, "joint", 2048) == 6 * 2048
    assert group_tokens(LEAN, "pair", 2048) == 8192


@pytest.mark.parametrize(
    ("place", "limit", "said"),
    [
        (Placement(1), 60e9, "training.lora.rank=16"),
        (Placement(8), 80e9, "launch.strategy=fsdp"),
        (Placement(2), 40e9, "launch.cpu_offload=true"),
        (Placement(8, True), 20e9, "launch.cpu_offload=true"),
        (Placement(1), 5e9, ""),
    ],
)
def test_the_smallest_change_that_fits(place: Placement, limit: float, said: str) -> None:
    found = smallest_change(LLAMA, LEAN, place, 8192, limit)
    assert said in found
    assert bool(found) == bool(said)


def test_an_engine_needs_weights_and_some_contexts() -> None:
    parts = engine_memory(LLAMA, 2, 8192).parts
    assert parts["weights"] == N
    # keys and values of 32 layers, 8 heads of 128, in bf16: 131,072 bytes per token
    assert parts["cache"] == 131_072 * 8192 * 16 / 2
