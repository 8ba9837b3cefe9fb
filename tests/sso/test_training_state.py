"""Weights and optimizer of a mid-stage checkpoint: what is loaded goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint import CheckpointException

from sso.training_state import STATE, load_state, save_state


def made(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    model[0].weight.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    return model, torch.optim.AdamW(trained, lr=0.1)


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(inputs).square().sum().backward()
    optimizer.step()


def test_a_loaded_training_takes_the_same_next_steps(tmp_path: Path) -> None:
    model, optimizer = made(0)
    for number in range(3):
        step(model, optimizer, number)
    save_state(tmp_path, model, optimizer)
    other, fresh = made(1)
    other[0].weight.data.copy_(model[0].weight)
    load_state(tmp_path, other, fresh)
    for number in range(3, 6):
        step(model, optimizer, number)
        step(other, fresh, number)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name


def test_frozen_weights_are_left_out(tmp_path: Path) -> None:
    model, optimizer = made(0)
    step(model, optimizer, 0)
    save_state(tmp_path, model, optimizer)
    other, fresh = made(1)
    frozen = other[0].weight.detach().clone()
    load_state(tmp_path, other, fresh)
    assert torch.equal(other[0].weight, frozen)
    assert torch.equal(other[2].weight, model[2].weight)


def test_a_lost_part_is_an_error_and_no_fresh_start(tmp_path: Path) -> None:
    model, optimizer = made(0)
    step(model, optimizer, 0)
    save_state(tmp_path, model, optimizer)
    next((tmp_path / STATE).glob("*.distcp")).unlink()
    with pytest.raises(CheckpointException):
        load_state(tmp_path, *made(1))
