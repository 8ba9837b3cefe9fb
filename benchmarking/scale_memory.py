"""Peaks of memory that the estimator is checked against: torch's tracker on fake tensors, and real CPU trainings.

``python benchmarking/scale_memory.py fsdp WORLD PASSES`` tracks an optimizer step of an 8B model under FSDP2 on
WORLD devices, with PASSES micro-batches, without allocating it; ``... cpu MODEL TOKENS LEAN`` trains and measures. One JSON line each.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness.planning.memory import Placement, training_memory
from harness.planning.shapes import Shape, shape_from, shape_of
from sso.settings import TrainingSettings

MODEL = "meta-llama/Llama-3.1-8B"
TOKENS = 8192
TRACKED = TrainingSettings(precision="bf16", gradient_checkpointing=True)


def tracked_fsdp(world: int, passes: int, shape: Shape) -> float:
    """Bytes of one device at the peak of a step of ``passes`` forward and backward passes, clipping and AdamW.

    Only the second step counts: the moments exist from there on, and in the first one DTensor works out how
    each operation is sharded on fake tensors of the whole shape, which no device ever holds but the tracker
    counts (116 GB of an 8B model on eight devices).
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=world)
    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (world,))
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = _sharded(shape, mesh)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, foreach=False)
        tracker = FSDPMemTracker(model, optimizer)
        with tracker:
            for count in (1, passes):
                tracker._peak_mem.clear()
                tracker._peak_mem_snap.clear()
                for _ in range(count):
                    with torch.autocast("cpu", dtype=torch.bfloat16):
                        loss = model(_batch()).sum()
                    loss.backward()
                    tracker.reset_mod_stats()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
        peak = tracker.get_tracker_snapshot("peak")
    torch.distributed.destroy_process_group()
    return max(float(parts["Total"]) for parts in peak.values())


def _sharded(shape: Shape, mesh: Any) -> Any:
    """The model as accelerate shards it: layers, embedding, and the last norm with the output layer, here as the
    root (the tracker knows no groups of modules), which is as whole at the peak."""
    import torch
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
        CheckpointImpl,
        apply_activation_checkpointing,
        checkpoint_wrapper,
    )
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    from groundwork.attention import switch_attention
    from sso.fast_forward import ForwardPlan, install_forward
    from sso.logprobs import GPU_ROWS

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
        use_cache=False,
    )
    model = LlamaForCausalLM(config)
    switch_attention(model)
    apply_activation_checkpointing(
        model,
        checkpoint_wrapper_fn=lambda m: checkpoint_wrapper(m, CheckpointImpl.NO_REENTRANT),
        check_fn=lambda m: isinstance(m, LlamaDecoderLayer),
    )
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model.model.embed_tokens, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    install_forward(model, ForwardPlan(chunk_bytes=4 * GPU_ROWS * shape.vocabulary))
    return model


def _batch() -> Any:
    from sso.batches import packed_batch
    from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair

    size = TOKENS // 8  # two queries of a prompt and three completions each
    ids = tuple(5 + i % 1000 for i in range(size))
    branch = EncodedBranch(ids, (ids, ids, ids))
    pair = {"policy": EncodedPair("p", 0, 0, 1)}
    return packed_batch([EncodedGroup(str(i), (branch,), pair) for i in range(2)])


def measured_cpu(model: Path, tokens: int, lean: bool) -> dict[str, float]:
    """Peak resident bytes of a training in a process of its own, and the estimate of it."""
    from groundwork.files import read_json
    from sso.launch import launch
    from sso.objectives import group_pairs
    from sso.records import PreferencePair
    from sso.settings import MethodSettings
    from sso.training import TrainingRun

    text = "word " * (tokens // 3)
    pairs = [
        PreferencePair(
            id=str(i),
            query_id=str(i),
            prompt=({"role": "user", "content": f"{i} {text}"},),
            chosen=f"good {text}",
            rejected=f"bad {text}",
            kind="policy",
        )
        for i in range(4)
    ]
    training = TrainingSettings(
        learning_rate=1e-5,
        batch_size=2,
        micro_tokens=64,
        max_length=8 * tokens,
        gradient_checkpointing=lean,
        report_to=(),
    )
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(Path(folder) / "model", Path(folder) / "work", seed=0)
        result = launch(model, group_pairs(pairs), "pair", MethodSettings(training=training), run)
    passed = result.tokens // result.counts["groups"]
    shape = shape_from(read_json(model / "config.json"))
    estimate = training_memory(shape, training, Placement(gpu=False), passed)
    return {
        "measured": result.measures["peak_memory_gb"] * 1e9,
        "estimate": estimate.total,
        "tokens": passed,
    }


def main() -> None:
    kind, *rest = sys.argv[1:]
    if kind == "fsdp":
        world, passes = map(int, rest)
        place = Placement(world, sharded=True)
        estimate = training_memory(shape_of(MODEL), TRACKED, place, TOKENS, passes)
        found = {
            "measured": tracked_fsdp(world, passes, shape_of(MODEL)),
            "estimate": estimate.total - estimate.parts["process"],
        }
    else:
        found = measured_cpu(Path(rest[0]), int(rest[1]), rest[2] == "lean")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
