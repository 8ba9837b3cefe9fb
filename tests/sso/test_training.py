"""Whole trainings of the tiny model: overfitting, resume, guards, references, LoRA, fall-backs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from groundwork.errors import UserError
from groundwork.stage_result import StageResult
from sso.objectives import Objective, PromptGroup
from sso.settings import LoraSettings, LossSettings, MethodSettings, TrainingSettings
from sso.training import TrainingRun, train
from tests.architectures import save
from tests.sso.training_examples import make_groups

FAST = TrainingSettings(
    learning_rate=1e-3, schedule="constant", batch_size=4, micro_tokens=400, report_to=()
)


def settings_of(loss: dict[str, Any] | None = None, **training: Any) -> MethodSettings:
    return MethodSettings(
        loss=LossSettings(**(loss or {})), training=FAST.model_copy(update=training)
    )


def run(model: Path, folder: Path, settings: MethodSettings, **options: Any) -> StageResult:
    examples = options.pop("examples", None) or make_groups(8)
    return train(
        model,
        examples,
        options.pop("objective", "pair"),
        settings,
        TrainingRun(folder / "model", folder / "work", seed=3, **options),
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.parametrize("kind", ["ipo", "dpo"])
@pytest.mark.parametrize("objective", ["pair", "generator", "joint"])
def test_overfitting_eight_groups(
    tiny_model_dir: Path, tmp_path: Path, objective: str, kind: str
) -> None:
    # beta_g 1: the generator pairs of the joint loss share y+ as chosen and as rejected
    loss = {"kind": kind, "gamma": 0.0, "beta_g": 1.0}
    settings = settings_of(loss, epochs=25, learning_rate=5e-3, batch_size=8)
    report = run(tiny_model_dir, tmp_path, settings, objective=objective)
    roles = Objective(objective).kinds  # type: ignore[arg-type]
    for role in roles:
        assert report.measures[f"final_accuracy/{role}"] == 1.0, report.measures
        assert report.measures[f"final_margin/{role}"] > 0
    assert report.notes == ()  # the fast form, with every kind of pair
    assert report.counts["groups"] == 8
    assert report.counts["pairs"] == 8 * len(roles)
    assert report.counts["steps"] == 25
    assert report.measures["final_loss"] < report.measures["loss"]


def test_first_step_is_at_the_reference(tiny_model_dir: Path, tmp_path: Path) -> None:
    """Before the first update policy and reference agree: margin 0, KL 0, DPO loss log 2."""
    seen: list[tuple[int, int]] = []
    report = run(
        tiny_model_dir,
        tmp_path,
        settings_of({"kind": "dpo"}),
        progress=lambda done, total: seen.append((done, total)),
    )
    lines = [json.loads(line) for line in (tmp_path / "work" / "curve.jsonl").open()]
    assert [line["step"] for line in lines] == [1, 2]
    assert lines[0]["loss"] == pytest.approx(0.6931472, abs=1e-5)
    assert lines[0]["kl_to_ref"] == pytest.approx(0, abs=1e-6)
    assert lines[0]["margin/policy"] == pytest.approx(0, abs=1e-4)
    assert lines[1]["kl_to_ref"] > 0
    assert lines[0]["grad_norm"] > 0
    assert report.tokens == sum(line["tokens"] for line in lines)
    assert report.measures["tokens_per_second"] > 0
    assert report.measures["peak_memory_gb"] > 0
    assert seen[-1] == (16, 16)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_checkpoint_is_complete_and_loads(tiny_model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run(tiny_model_dir, tmp_path, settings_of())
    out = tmp_path / "model"
    assert not list(out.glob("*.bin"))
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.config.use_cache is True
    assert model.config._attn_implementation == "sdpa"
    assert model.dtype == torch.float32
    assert model.generation_config.eos_token_id == 2
    tokenizer = AutoTokenizer.from_pretrained(out)
    source = AutoTokenizer.from_pretrained(tiny_model_dir)
    assert tokenizer.chat_template == source.chat_template
    before = load_file(tiny_model_dir / "model.safetensors")
    after = weights(tmp_path)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[k], after[k]) for k in before)
    assert not (tmp_path / "work" / "checkpoints").exists()


def test_micro_batches_do_not_change_the_training(tiny_model_dir: Path, tmp_path: Path) -> None:
    for budget in (64, 100_000):
        run(tiny_model_dir, tmp_path / str(budget), settings_of(micro_tokens=budget))
    a, b = weights(tmp_path / "64"), weights(tmp_path / "100000")
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 2e-4


def test_loss_that_is_not_finite_names_its_pairs(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sso.reference_logprobs

    original = sso.reference_logprobs.split_by_group

    def broken(logps: torch.Tensor, groups: Any) -> dict[str, torch.Tensor]:
        found = original(logps, groups)
        if "q2" in found:
            found["q2"][0] = float("inf")
        return found

    monkeypatch.setattr(sso.reference_logprobs, "split_by_group", broken)
    with pytest.raises(UserError, match=r"step 1: the loss is not finite for pairs 'q2/policy'$"):
        run(tiny_model_dir, tmp_path, settings_of(batch_size=8))
    assert not (tmp_path / "model").exists()


def test_gradient_that_is_not_finite_names_its_pairs(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sso import step_math
    from sso.trainer import PreferenceTrainer

    original = step_math.micro_result

    class Explode(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, losses: torch.Tensor) -> torch.Tensor:
            return losses.clone()

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
            return grads[0] * float("inf")

    def broken(logps: Any, batch: Any, *rest: Any) -> Any:
        result = original(logps, batch, *rest)
        if any(g.id == "q5" for g in batch.groups):
            return step_math.MicroResult(Explode.apply(result.losses), result.sums)
        return result

    monkeypatch.setattr("sso.trainer.micro_result", broken)
    assert PreferenceTrainer is not None
    with pytest.raises(UserError, match=r"the gradient is not finite for pairs 'q5/policy'$"):
        run(tiny_model_dir, tmp_path, settings_of(batch_size=8, micro_tokens=64))


def test_dropped_groups_are_in_the_report(tiny_model_dir: Path, tmp_path: Path) -> None:
    groups = [*make_groups(4), PromptGroup("filtered", ())]
    report = run(tiny_model_dir, tmp_path, settings_of(), examples=groups)
    assert report.counts["dropped_no_pairs"] == 1
    assert report.counts["groups"] == 4


def test_lora_is_merged_into_a_plain_checkpoint(tiny_model_dir: Path, tmp_path: Path) -> None:
    settings = settings_of(lora=LoraSettings(rank=4), learning_rate=1e-2, epochs=30)
    report = run(tiny_model_dir, tmp_path, settings)
    assert report.measures["final_accuracy/policy"] == 1.0
    before, after = load_file(tiny_model_dir / "model.safetensors"), weights(tmp_path)
    assert before.keys() == after.keys()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert moved
    assert all(k.endswith("proj.weight") for k in moved), "only linear layers carry adapters"


def test_merged_lora_scores_like_the_trained_model(tiny_model_dir: Path, tmp_path: Path) -> None:
    """A second training of the merged result starts where the first ended (its reference)."""
    settings = settings_of({"kind": "dpo"}, lora=LoraSettings(rank=4), learning_rate=1e-2)
    run(tiny_model_dir, tmp_path / "a", settings)
    report = run(tmp_path / "a" / "model", tmp_path / "b", settings)
    lines = [json.loads(line) for line in (tmp_path / "b" / "work" / "curve.jsonl").open()]
    assert lines[0]["loss"] == pytest.approx(0.6931472, abs=1e-5)
    assert report.counts["steps"] == 2


def test_quantized_lora_says_what_it_needs(tiny_model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set lora\.rank"):
        run(tiny_model_dir, tmp_path, settings_of(lora=LoraSettings(quantize_4bit=True)))
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="needs a CUDA GPU"):
            run(
                tiny_model_dir, tmp_path, settings_of(lora=LoraSettings(rank=4, quantize_4bit=True))
            )


@pytest.mark.parametrize("option", [{"precision": "bf16"}, {"gradient_checkpointing": True}])
def test_bf16_and_gradient_checkpointing_train(
    tiny_model_dir: Path, tmp_path: Path, option: dict[str, Any]
) -> None:
    run(tiny_model_dir, tmp_path / "plain", settings_of({"kind": "dpo"}))
    run(tiny_model_dir, tmp_path / "option", settings_of({"kind": "dpo"}, **option))
    plain, other = weights(tmp_path / "plain"), weights(tmp_path / "option")
    if "precision" in option:
        assert {v.dtype for v in other.values()} == {torch.bfloat16}
    else:
        assert max(float((plain[k] - other[k]).abs().max()) for k in plain) < 1e-4


def test_tensorboard_gets_every_measure(tiny_model_dir: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tiny_model_dir, tmp_path, settings_of(report_to=("tensorboard",)))
    (file,) = (tmp_path / "work" / "tensorboard").rglob("events.*")
    events = EventAccumulator(str(file))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"train/loss", "train/margin/policy", "train/accuracy/policy", "train/kl_to_ref"} <= tags
    assert {"train/tokens_per_second", "train/grad_norm"} <= tags


def test_unknown_tracker_is_one_line(tiny_model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training settings"):
        run(tiny_model_dir, tmp_path, settings_of(report_to=("nowhere",)))


def _mistral(folder: Path, tiny: Path, window: int) -> Path:
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=window,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    MistralForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(folder)
    return folder


def test_sliding_window_falls_back_and_says_so(tiny_model_dir: Path, tmp_path: Path) -> None:
    narrow = run(_mistral(tmp_path / "m", tiny_model_dir, 40), tmp_path / "narrow", settings_of())
    assert any("looks back 40 tokens" in note for note in narrow.notes)
    wide = run(_mistral(tmp_path / "w", tiny_model_dir, 4096), tmp_path / "wide", settings_of())
    assert wide.notes == ()


def test_recurrent_model_falls_back_and_says_so(tiny_model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=259, hidden_size=32, num_hidden_layers=1, state_size=4)
    torch.manual_seed(0)
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(tmp_path / "mamba")
    report = run(tmp_path / "mamba", tmp_path, settings_of({"kind": "dpo"}))
    assert any("plain batches instead of shared prefixes" in note for note in report.notes)


def test_model_with_its_own_output_scaling(tiny_model_dir: Path, tmp_path: Path) -> None:
    """Granite divides its logits by a constant: the probe must notice, the head must be its own."""
    from transformers import AutoTokenizer, GraniteConfig, GraniteForCausalLM

    config = GraniteConfig(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        logits_scaling=0.05,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    GraniteForCausalLM(config).save_pretrained(tmp_path / "granite")
    AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(tmp_path / "granite")
    report = run(tmp_path / "granite", tmp_path, settings_of({"kind": "dpo"}))
    assert any("own output layer" in note for note in report.notes)
    assert not any("plain batches" in note for note in report.notes)


def curve(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "work" / "curve.jsonl").open()]


@pytest.mark.parametrize("name", ["gpt2", "opt", "mixtral-jitter", "phi-dropout"])
def test_first_loss_is_log_2_where_the_configuration_has_dropout(
    name: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """References are made without dropout: with it in training the first loss is anything else."""
    model = save(name, tmp_path / name, tiny_model_dir)
    result = run(model, tmp_path, settings_of({"kind": "dpo"}))
    assert curve(tmp_path)[0]["loss"] == pytest.approx(0.6931472, abs=1e-4)
    assert any("randomness is off" in note for note in result.notes)


def test_dropout_is_on_where_it_is_asked_for(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = save("gpt2", tmp_path / "gpt2", tiny_model_dir)
    result = run(model, tmp_path, settings_of({"kind": "dpo"}, dropout=True))
    assert abs(curve(tmp_path)[0]["loss"] - 0.6931472) > 1e-3
    assert not any("randomness" in note for note in result.notes)


def test_gradient_checkpointing_keeps_dropout_off(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = save("opt", tmp_path / "opt", tiny_model_dir)
    run(model, tmp_path, settings_of({"kind": "dpo"}, gradient_checkpointing=True))
    assert curve(tmp_path)[0]["loss"] == pytest.approx(0.6931472, abs=1e-4)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant_with_warmup"])
def test_every_step_of_a_warm_up_moves_the_weights(
    schedule: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """transformers' warm-up begins with a rate of 0: a stage of one step changed nothing."""
    one = settings_of(schedule=schedule, warmup_ratio=0.04, batch_size=8)
    result = run(tiny_model_dir, tmp_path / "one", one)
    assert result.counts["steps"] == 1
    assert result.measures["changed_weights"] > 0.5
    assert curve(tmp_path / "one")[0]["learning_rate"] == pytest.approx(1e-3)
    four = settings_of(schedule=schedule, warmup_ratio=0.5, batch_size=2)
    run(tiny_model_dir, tmp_path / "four", four)
    rates = [line["learning_rate"] for line in curve(tmp_path / "four")]
    assert rates[:2] == pytest.approx([5e-4, 1e-3])  # two steps of warm-up: 1/2, 2/2
    assert min(rates) > 0


def test_a_training_that_changes_no_weight_says_so(tiny_model_dir: Path, tmp_path: Path) -> None:
    """A rate that bfloat16 rounds away in the saved weights."""
    source = tmp_path / "bf16"
    shutil.copytree(tiny_model_dir, source)
    from safetensors.torch import save_file

    rounded = load_file(source / "model.safetensors")
    save_file(
        {k: v.bfloat16() for k, v in rounded.items()},
        source / "model.safetensors",
        {"format": "pt"},
    )
    result = run(source, tmp_path, settings_of(learning_rate=1e-12, precision="bf16"))
    assert result.measures["changed_weights"] < 0.01  # the padding row is 0, any step shows there
    assert any("of the weights changed: the learning rate" in note for note in result.notes)


@pytest.mark.parametrize(
    ("settings", "note"),
    [({"temperature": 0.6}, "do_sample"), ({"top_p": 0.9, "eos_token_id": 2}, "do_sample")],
)
def test_generation_settings_that_could_not_be_saved_are_repaired_before_training(
    settings: dict[str, Any], note: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(tiny_model_dir, source)
    (source / "generation_config.json").write_text(json.dumps(settings))
    result = run(source, tmp_path, settings_of())
    saved = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    assert saved.items() >= settings.items()
    assert saved["do_sample"] is True
    assert any(note in found for found in result.notes)


def test_rotary_angles_that_follow_the_length_do_not_follow_batch_mates(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    model = save("phi3-longrope", tmp_path / "phi3", tiny_model_dir)
    for budget in (64, 100_000):
        run(model, tmp_path / str(budget), settings_of({"kind": "dpo"}, micro_tokens=budget))
    few, many = (curve(tmp_path / budget) for budget in ("64", "100000"))
    assert [a["loss"] for a in few] == pytest.approx([b["loss"] for b in many], abs=1e-4)
