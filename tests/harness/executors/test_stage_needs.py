"""What a stage takes of a machine or a cluster."""

from __future__ import annotations

import pytest

from harness.config import RunConfig, load_config
from harness.executors.stage_needs import needs
from harness.stage import Stage, StageKind, StageResult


def config(*overrides: str) -> RunConfig:
    return load_config("quickstart", ["model=m", *overrides])


def stage(kind: StageKind) -> Stage:
    return Stage("s", kind, {}, {}, lambda run: StageResult())


@pytest.mark.parametrize(
    ("kind", "overrides", "gpus", "expected"),
    [
        ("train", [], 8, (8, 8)),
        ("train", ["launch.devices=2"], 8, (2, 2)),
        ("train", ["launch.devices=2"], 0, (2, 0)),
        ("train", ["launch.nodes=2"], 8, (0, 0)),
        ("sample", ["engine.kind=vllm"], 8, (1, 8)),
        ("eval", ["engine.kind=vllm", "engine.data_parallel=1"], 8, (1, 1)),
        ("eval", ["engine.kind=vllm", "engine.data_parallel=2", "engine.tensor_parallel=2"], 8, (1, 4)),
        ("eval", ["engine.kind=hf"], 8, (1, 1)),
        ("eval", ["engine.kind=openai"], 8, (1, 0)),
        ("eval", [], 0, (1, 0)),
        ("judge", ["engine.kind=hf", "judge.name=gpt-4.1"], 8, (1, 0)),
        ("judge", ["engine.kind=hf", "judge.name=local"], 8, (1, 1)),
        ("judge", ["engine.kind=hf", "judge.name=gpt-4.1", "judge.pairs=local"], 8, (1, 1)),
        ("judge", ["engine.kind=hf", "judge.name=reward:DIR"], 8, (1, 1)),
        ("data", [], 8, (1, 0)),
    ],
)  # fmt: skip
def test_what_a_stage_takes(
    kind: StageKind, overrides: list[str], gpus: int, expected: tuple[int, int]
) -> None:
    assert needs(stage(kind), config(*overrides), gpus) == expected
