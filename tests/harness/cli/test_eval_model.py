"""What ``eval`` starts from: every item on a GPU, the quick start's few on a CPU."""

from __future__ import annotations

import itertools
import shlex

import pytest
import torch
import yaml

from harness.cli.eval_model import default_preset
from harness.cli.options import Evaluation, Judging, configured
from harness.engines import engine_identity
from harness.engines.hf import pick_device
from tests.conftest import REPO


def test_a_gpu_gets_the_suite_and_a_cpu_the_quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpu, preset in ((True, "suite"), (False, "quickstart")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        assert default_preset(None) == preset
        assert default_preset("openai") == "suite"


def test_the_gpu_workflow_scores_every_item_in_bfloat16_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It used to inherit device cpu, float32 and 8 to 16 items from the quick start."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    workflow = yaml.safe_load((REPO / "docs/workflows/evaluate-gpu.yml").read_text())
    steps = workflow["jobs"]["gate"]["steps"]
    (line,) = [step["run"] for step in steps if step.get("name") == "Evaluate"]
    words = shlex.split(line)
    given = dict(itertools.pairwise(words))
    evaluation = Evaluation(
        preset=given.get("--preset"),
        data=given["--data"],
        set_=[value for word, value in itertools.pairwise(words) if word == "--set"],
    )
    config = configured(evaluation, Judging(judge=given["--judge"]), model="m")
    assert pick_device(config.engine.device) == "cuda"
    assert engine_identity(config.engine) == {"kind": "vllm", "dtype": "bf16"}
    assert len(config.benchmarks) == 6
    assert all(b.limit is None for b in config.benchmarks.values())
    assert {b.protocol for b in config.benchmarks.values()} == {"community"}
