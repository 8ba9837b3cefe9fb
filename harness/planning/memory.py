"""Memory of one device in a training or an engine, part by part, from the model's shape.

Checked against torch's own tracker on fake tensors (8B under FSDP2) and against measured peaks of
trainings on a CPU: ``benchmarking/scale.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.planning.shapes import Shape
from sso.logprobs import CHUNK_BYTES, GPU_ROWS, LEAN_CHUNK_BYTES
from sso.settings import TrainingSettings

CPU_PROCESS = 0.60e9
"""Resident bytes of a training process with its packages, before a model."""
GPU_PROCESS = 1.0e9
"""Bytes of a CUDA context and its kernels, beside what torch allocates."""
ENGINE_WORK = 3e9
"""Bytes that vLLM takes beside weights and cache: activations of its profile, CUDA graphs."""
PROMPTS_OF_A_GROUP = 900
"""Assumed tokens of a group's prompts: a query, and twice with principles."""
AGAIN = 1.9
"""Of what a layer keeps, all that exists while it is computed again and gone back through."""
COPIES_OF_TEXT = {"generator": 4, "joint": 6}
"""Completions of a query's group, by kind of training; else 2."""


@dataclass(frozen=True)
class Placement:
    """Where a training runs: processes, whether they share the weights, CPU or GPU."""

    processes: int = 1
    sharded: bool = False
    cpu_offload: bool = False
    gpu: bool = True


@dataclass(frozen=True)
class Memory:
    """Bytes of one device by part."""

    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())


def group_tokens(training: TrainingSettings, kind: str, new_tokens: int = 2048) -> int:
    """Tokens of one forward pass at most: the budget, or one whole group of answers of ``new_tokens``."""
    texts = COPIES_OF_TEXT.get(kind, 2)
    longest = min(texts * training.max_length, texts * new_tokens + PROMPTS_OF_A_GROUP)
    return max(training.micro_tokens, longest)


def training_memory(
    shape: Shape, training: TrainingSettings, place: Placement, tokens: int, passes: int = 2
) -> Memory:
    """Peak of one training process whose passes have ``tokens`` tokens; a step of one pass has no gradients
    yet when the output layer is at work."""
    bf16 = training.precision == "bf16"
    share = place.processes if place.sharded else 1
    lora = training.lora.rank
    trained = lora * shape.linear_ends * shape.layers if lora else shape.weights
    frozen = (
        shape.weights * (0.6 if training.lora.quantize_4bit else 2 if bf16 else 4) if lora else 0
    )
    parts: dict[str, float] = {"process": GPU_PROCESS if place.gpu else CPU_PROCESS}
    held = 0 if place.cpu_offload and place.sharded else 1
    parts["weights"] = held * (4 * trained + frozen) / share
    parts["gradients"] = held * 4 * trained / share
    parts["optimizer"] = held * 8 * trained / share
    width = 2 if bf16 else 4
    if place.sharded:
        whole = 2 * shape.layer_weights + shape.head_weights
        parts["gathered"] = width * whole
    elif place.processes > 1:
        parts["buckets"] = 4 * trained
    layer = _layer_elements(shape, training, place)
    if training.gradient_checkpointing:
        # the layers' inputs, and the larger of two moments: the output layer's, or a layer's made again
        inputs = tokens * shape.layers * shape.hidden * width
        parts["inputs of layers"] = inputs
        again = AGAIN * tokens * layer
        if place.sharded:  # the embedding is being gathered, a layer's gradients are on their way
            again += width * shape.head_weights + 4 * shape.layer_weights
        output = _output_layer(shape, training, place, tokens)
        none_yet = parts["gradients"] if passes == 1 else 0.0
        # by the last layers the inputs of the others are gone
        parts["pass"] = max(again - inputs, output - none_yet)
    else:
        parts["activations"] = tokens * shape.layers * layer
        parts["pass"] = _output_layer(shape, training, place, tokens)
    return Memory(parts)


def _layer_elements(shape: Shape, training: TrainingSettings, place: Placement) -> float:
    """Bytes per token that a layer keeps for its backward pass."""
    bf16 = training.precision == "bf16"
    width = 2 if bf16 else 4
    attention = 2 * shape.query + 3 * shape.kv
    lean = not place.gpu and not bf16 and not place.sharded and not training.lora.rank
    if lean:  # groundwork.cpu_kernels: the gated product is made again
        return float(width * (6 * shape.hidden + attention + 2 * shape.intermediate))
    in_float32 = 16 * shape.hidden * bf16  # the norms' inputs and outputs
    return float(width * (4 * shape.hidden + attention + 4 * shape.intermediate) + in_float32)


def _output_layer(shape: Shape, training: TrainingSettings, place: Placement, tokens: int) -> float:
    """One chunk's logits, and copies of the weight and its gradient that exist beside the master ones."""
    bf16 = training.precision == "bf16"
    budget = LEAN_CHUNK_BYTES if training.gradient_checkpointing else CHUNK_BYTES
    rows = min(tokens, max(GPU_ROWS if place.gpu else 1, budget // (4 * shape.vocabulary)))
    logits = rows * shape.vocabulary * (4 + 4 * bf16)
    if not bf16 and not place.sharded and place.processes == 1:
        return float(2 * rows * shape.vocabulary * 4)  # the gradient goes in place
    if training.lora.rank:
        return float(logits)
    # the float32 sum over chunks and what the reduction is given; in bf16 also the rounded gradient
    return float(logits + shape.head_weights * (8 + 2 * bf16))


def engine_memory(shape: Shape, tensor_parallel: int, context: int, dtype_bytes: int = 2) -> Memory:
    """What an engine needs at least on each device: weights, and the cache of 16 whole contexts."""
    cache = 2 * shape.layers * shape.kv * dtype_bytes * context * 16
    return Memory(
        {
            "weights": shape.weights * dtype_bytes / tensor_parallel,
            "cache": cache / tensor_parallel,
            "work": ENGINE_WORK,
        }
    )


def smallest_change(
    shape: Shape, training: TrainingSettings, place: Placement, tokens: int, limit: float
) -> str:
    """The settings, in words of ``--set``, with which the training fits into ``limit`` bytes a device.

    Changes that alter no result come first, then LoRA; empty where nothing here is enough.
    """
    lean = training.model_copy(update={"gradient_checkpointing": True})
    least = lean.model_copy(update={"micro_tokens": 64})
    longest = min(
        tokens, max(64, tokens if tokens > training.micro_tokens else training.max_length)
    )
    split = Placement(place.processes, place.processes > 1, False, place.gpu)
    away = Placement(place.processes, place.processes > 1, True, place.gpu)
    lora = lean.model_copy(update={"lora": lean.lora.model_copy(update={"rank": 16})})
    tries = [
        ("training.gradient_checkpointing=true", lean, place, tokens),
        ("training.gradient_checkpointing=true training.micro_tokens=1024", least, place, longest),
        ("launch.strategy=fsdp training.gradient_checkpointing=true", lean, split, tokens),
        (
            "launch.strategy=fsdp launch.cpu_offload=true training.gradient_checkpointing=true",
            lean,
            away,
            tokens,
        ),
        ("training.lora.rank=16 training.gradient_checkpointing=true", lora, place, tokens),
    ]
    for words, settings, where, passed in tries:
        if training_memory(shape, settings, where, passed).total <= limit:
            return words
    return ""
