"""Reward models: the loss by hand, overfitting, and scores equal to transformers' own reading."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from groundwork.errors import UserError
from sso.records import PreferencePair
from sso.reward_model import reward_loss, score_pairs, train_reward
from sso.settings import LoraSettings, MethodSettings, TrainingSettings
from sso.training import TrainingRun
from tests.sso.training_examples import make_groups

SETTINGS = TrainingSettings(
    learning_rate=3e-3, schedule="constant", batch_size=8, epochs=25, micro_tokens=500, report_to=()
)


def pairs() -> list[PreferencePair]:
    return [p for group in make_groups(8) for p in group.pairs if p.kind == "policy"]


def test_loss_by_hand() -> None:
    found = reward_loss(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0]))
    expected = [math.log(1 + math.exp(-1.0)), math.log(2.0)]
    assert found.tolist() == pytest.approx(expected)


def test_overfitting_and_scoring(tiny_model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    out = tmp_path / "reward"
    report = train_reward(
        tiny_model_dir,
        pairs(),
        MethodSettings(training=SETTINGS),
        TrainingRun(out, tmp_path / "w", seed=1),
    )
    assert report.measures["final_accuracy/policy"] == 1.0
    assert report.counts["steps"] == 25
    assert report.notes == ()
    scores = score_pairs(out, pairs())
    assert all(chosen > rejected for chosen, rejected in scores)
    # transformers reads the score at the last token of the whole conversation
    tokenizer = AutoTokenizer.from_pretrained(out)
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert model.config.num_labels == 1
    for pair, (chosen, rejected) in list(zip(pairs(), scores, strict=True))[:3]:
        prompt = tokenizer.apply_chat_template(
            list(pair.prompt), tokenize=False, add_generation_prompt=True
        )
        for text, ours in ((pair.chosen, chosen), (pair.rejected, rejected)):
            ids = tokenizer(prompt + text + "<|im_end|>", add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                theirs = model(torch.tensor([ids])).logits.item()
            assert ours == pytest.approx(theirs, abs=1e-4)


def test_what_cannot_be_scored_is_an_error(tiny_model_dir: Path) -> None:
    empty = pairs()[0].model_copy(update={"chosen": ""})
    with pytest.raises(UserError, match="1 pairs cannot be scored"):
        score_pairs(tiny_model_dir, [empty, pairs()[1]])


def test_lora_is_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    settings = MethodSettings(training=TrainingSettings(lora=LoraSettings(rank=4)))
    with pytest.raises(UserError, match="trained in full"):
        train_reward(tiny_model_dir, pairs(), settings, TrainingRun(tmp_path, tmp_path, seed=1))
