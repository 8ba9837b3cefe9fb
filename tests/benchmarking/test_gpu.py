"""The way of the GPU benchmark on a CPU, and its refusal without CUDA."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from benchmarking import gpu


def test_without_cuda_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "needs CUDA" in said[0]


def test_generation_of_our_engine_and_its_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = gpu.random_model(tmp_path / "model", "tiny")
    work = {"prompts": 3, "new": 5, "bf16": False, "device": "cpu"}
    found = gpu.generate("hf", model, work)
    assert 3 <= found["tokens"] <= 15
    assert found["seconds"] > 0
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    options = argparse.Namespace(engine="vllm", shape="tiny", device="cpu")
    phases = gpu.Phases("cpu", 1.0)
    assert "not installed" in gpu.generation(phases, model, options)["generation_left_out"]
    assert not phases.memory


@pytest.mark.slow
def test_ours_and_trl_train_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    words = ["--device", "cpu", "--shape", "tiny", "--engine", "hf", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words])
    assert gpu.main() == 0, capsys.readouterr().err
    found = json.loads(file.read_text())
    assert found["training_speed_vs_trl"] > 0
    assert found["generation_tokens_per_second"] > 0
    phases = [row["phase"] for row in found["memory"]]
    assert phases[:2] == ["training, ours", "training, TRL, batches of 2"]
    assert phases[2:] == ["generation, our hf engine"]
