"""Reward models are trained in processes of their own like policies: the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from sso.launch import launch
from sso.objectives import PromptGroup
from sso.reward_model import train_groups
from sso.settings import MethodSettings, TrainingSettings
from sso.training import TrainingRun
from tests.sso.training_examples import make_groups

SETTINGS = MethodSettings(
    training=TrainingSettings(learning_rate=1e-3, batch_size=2, epochs=1, report_to=())
)


def groups() -> list[PromptGroup]:
    pairs = [p for group in make_groups(4) for p in group.pairs if p.kind == "policy"]
    return [PromptGroup(pair.id, (pair,)) for pair in pairs]


def test_a_process_of_its_own_makes_the_same_reward_model(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    here = TrainingRun(tmp_path / "here", tmp_path / "w1", seed=3)
    there = TrainingRun(tmp_path / "there", tmp_path / "w2", seed=3)
    first = train_groups(tiny_model_dir, groups(), "reward", SETTINGS, here)
    second = launch(tiny_model_dir, groups(), "reward", SETTINGS, there)
    assert first.counts == second.counts
    losses = [
        [json.loads(line)["loss"] for line in (work / "curve.jsonl").read_text().splitlines()]
        for work in (here.work, there.work)
    ]
    assert losses[0] == losses[1]
    one, other = (load_file(out / "model.safetensors") for out in (here.out, there.out))
    assert "score.weight" in one
    assert all(torch.equal(one[name], other[name]) for name in one)
