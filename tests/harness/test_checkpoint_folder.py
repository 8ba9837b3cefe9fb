"""Checkpoints by the names that trainers give them, and what a half-written one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.checkpoint_folder import Checkpoint, checkpoint_model, find_checkpoints
from harness.model_checks import ModelError
from harness.models import ResolvedModel


def begun(folder: Path, mark: str = "config.json") -> None:
    folder.mkdir(parents=True)
    (folder / mark).write_text("{}")


def test_steps_are_numbers_and_other_folders_are_none(tmp_path: Path) -> None:
    for name in ("checkpoint-500", "checkpoint-1000", "global_step250", "checkpoint-final", "runs"):
        begun(tmp_path / name)
    begun(tmp_path / "checkpoint-20", "adapter_config.json")
    begun(tmp_path / "iter-2" / "policy" / "model")
    begun(tmp_path / "epoch_20")  # a second one of step 20
    (tmp_path / "checkpoint-7").mkdir()  # nothing in it yet
    found = [(c.step, c.name, c.adapter) for c in find_checkpoints(tmp_path)]
    assert found == [
        (2, "iter-2", False),
        (20, "checkpoint-20", True),
        (250, "global_step250", False),
        (500, "checkpoint-500", False),
        (1000, "checkpoint-1000", False),
    ]


def test_the_state_changes_with_every_byte(tmp_path: Path) -> None:
    checkpoint = Checkpoint(1, "checkpoint-1", tmp_path)
    begun(tmp_path / "x")
    before = checkpoint.state()
    (tmp_path / "model.safetensors").write_bytes(b"1")
    first = checkpoint.state()
    (tmp_path / "model.safetensors").write_bytes(b"12")
    assert len({before, first, checkpoint.state()}) == 3


def test_an_adapter_is_its_base_and_its_own_files(tmp_path: Path) -> None:
    begun(tmp_path / "a", "adapter_config.json")
    checkpoint = Checkpoint(1, "a", tmp_path / "a")
    bases = [ResolvedModel(tmp_path, "folder", "b", mark * 16) for mark in "pq"]
    with pytest.raises(ModelError, match=r"has no adapter_model\.safetensors"):
        checkpoint_model(checkpoint, bases[0])
    with pytest.raises(ModelError, match="names no base: give it as --model"):
        checkpoint_model(checkpoint, None)
    (tmp_path / "a" / "adapter_model.safetensors").write_bytes(b"weights")
    prints = [checkpoint_model(checkpoint, base).fingerprint for base in bases]
    (tmp_path / "a" / "adapter_model.safetensors").write_bytes(b"others")
    prints.append(checkpoint_model(checkpoint, bases[0]).fingerprint)
    assert len(set(prints)) == 3
