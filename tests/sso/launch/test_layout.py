"""Processes and sharding from the settings and the visible devices."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from groundwork.errors import UserError
from sso.launch import Layout, find_layout
from sso.settings import LaunchSettings, LoraSettings, TrainingSettings

FULL = TrainingSettings()


def layout(training: TrainingSettings = FULL, **settings: object) -> Layout:
    return find_layout(LaunchSettings(**settings), training, Path("m"))  # type: ignore[arg-type]


def test_without_gpus_one_process_unless_more_are_asked_for() -> None:
    assert layout() == Layout(1)
    assert layout(devices=2) == Layout(2)
    assert layout(devices=2, strategy="fsdp") == Layout(2, sharded=True)
    assert layout(strategy="fsdp") == Layout(1)  # nobody to share with


@pytest.mark.parametrize(
    ("weights", "sharded"),
    [(135_000_000, False), (1_500_000_000, False), (8_000_000_000, True)],
)
def test_auto_shards_what_does_not_fit_as_copies(
    weights: int, sharded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 bytes per weight of a copy: 30 GB of 1.5B weights fit into 60 % of 80 GB, 160 GB of 8B don't."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    card = SimpleNamespace(total_memory=80e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr("sso.checkpoints.count_weights", lambda model: weights)
    assert layout() == Layout(8, sharded=sharded)
    assert layout(devices=1) == Layout(1)
    assert layout(strategy="ddp") == Layout(8)
    lora = FULL.model_copy(update={"lora": LoraSettings(rank=8)})
    assert layout(lora) == Layout(8)
    with pytest.raises(UserError, match=r"8 GPUs are visible: set launch\.devices=8"):
        layout(devices=16)


@pytest.mark.parametrize("wrong", [{"devices": 0}, {"devices": "all"}, {"command": "srun python"}])
def test_settings_that_start_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"devices|program"):
        LaunchSettings.model_validate(wrong)
