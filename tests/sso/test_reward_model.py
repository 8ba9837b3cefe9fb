"""Reward models: the loss by hand, overfitting, and scores equal to transformers' own reading."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from groundwork.errors import UserError
from sso.records import PreferencePair
from sso.reward_checkpoint import refuse_reward_model, require_reward_model
from sso.reward_model import Scorer, reward_loss, train_reward
from sso.settings import LoraSettings, MethodSettings, TrainingSettings
from sso.training import TrainingRun
from tests.sso.training_examples import make_groups

SETTINGS = TrainingSettings(
    learning_rate=3e-3, schedule="constant", batch_size=8, epochs=25, micro_tokens=500, report_to=()
)


def pairs() -> list[PreferencePair]:
    return [p for group in make_groups(8) for p in group.pairs if p.kind == "policy"]


def score_pairs(
    model: Path, given: list[PreferencePair], settings: TrainingSettings | None = None
) -> list[tuple[float, float]]:
    """(score of chosen, score of rejected) of every pair."""
    found = Scorer(model, settings).scores([(p.prompt, (p.chosen, p.rejected)) for p in given])
    return [(chosen, rejected) for chosen, rejected in found]


def test_loss_by_hand() -> None:
    found = reward_loss(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0]))
    expected = [math.log(1 + math.exp(-1.0)), math.log(2.0)]
    assert found.tolist() == pytest.approx(expected)


def test_overfitting_and_scoring(
    tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    out = tmp_path / "reward"
    report = train_reward(
        tiny_model_dir,
        pairs(),
        MethodSettings(training=SETTINGS),
        TrainingRun(out, tmp_path / "w", seed=1),
    )
    assert capsys.readouterr().out == "", "the trainer of transformers prints nothing"
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


def test_what_cannot_be_scored_is_an_error(reward: Path) -> None:
    empty = pairs()[0].model_copy(update={"chosen": ""})
    with pytest.raises(UserError, match="an answer is empty"):
        score_pairs(reward, [empty, pairs()[1]])
    with pytest.raises(UserError, match=r"more than training\.max_length = 30"):
        score_pairs(reward, pairs(), TrainingSettings(max_length=30))


@pytest.fixture(scope="module")
def reward(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model trained with LoRA and a head of its own."""
    folder = tmp_path_factory.mktemp("reward")
    lora = SETTINGS.model_copy(update={"lora": LoraSettings(rank=4), "learning_rate": 1e-2})
    run = TrainingRun(folder / "model", folder / "work", seed=1)
    report = train_reward(tiny_model_dir, pairs(), MethodSettings(training=lora), run)
    assert report.measures["final_loss"] < 0.69
    return run.out


def test_lora_trains_adapters_and_head_and_writes_a_whole_model(
    reward: Path, tiny_model_dir: Path
) -> None:
    from safetensors.torch import load_file

    before = load_file(tiny_model_dir / "model.safetensors")
    after = load_file(reward / "model.safetensors")
    assert "score.weight" in after
    moved = [
        name for name in before if name in after and not torch.equal(before[name], after[name])
    ]
    assert moved
    assert all("proj" in name for name in moved)
    scores = score_pairs(reward, pairs())
    assert sum(chosen > rejected for chosen, rejected in scores) >= 6


def test_several_answers_have_the_scores_they_have_alone(reward: Path) -> None:
    prompt = ({"role": "user", "content": "What is one?"},)
    answers = ("One.", "A number of things, one of them.", "Two.", "One.")
    together = Scorer(reward).scores([(prompt, answers), (prompt, answers[:1])])
    alone = [Scorer(reward).scores([(prompt, (answer,))])[0][0] for answer in answers]
    assert together[0] == pytest.approx(alone, abs=1e-4)
    assert together[0][0] == pytest.approx(together[0][3], abs=1e-5)
    assert together[1] == pytest.approx(alone[:1], abs=1e-4)


def test_a_model_that_writes_text_is_no_reward_model_and_the_reverse(
    reward: Path, tiny_model_dir: Path
) -> None:
    with pytest.raises(UserError, match=r"is no reward model \(LlamaForCausalLM\)"):
        Scorer(tiny_model_dir)
    with pytest.raises(UserError, match="which writes no text"):
        refuse_reward_model(reward)
    require_reward_model(reward)
    refuse_reward_model(tiny_model_dir)
