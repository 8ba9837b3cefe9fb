"""The tracked memory of a sharded step: what another pass adds is the shard of the gradients, and nothing else."""

from __future__ import annotations

import pytest

from benchmarking import scale_memory
from harness.planning.shapes import Shape


@pytest.mark.slow
def test_a_second_pass_adds_the_shard_of_the_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_memory, "TOKENS", 256)
    shape = Shape(layers=1, hidden=256, intermediate=512, heads=4, kv_heads=2, head_dim=64,
                  vocabulary=2048, tied=False, biases=False)  # fmt: skip
    one, two = (scale_memory.tracked_fsdp(4, passes, shape) for passes in (1, 2))
    assert two - one == pytest.approx(4 * shape.weights / 4, rel=0.01)
    assert one > 16 * shape.weights / 4 - 4 * shape.weights / 4  # weights and moments, at least
