"""Presets, overrides, and one clear line for each mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.config import (
    ConfigError,
    RunConfig,
    load_config,
    merge,
    parse_override,
    preset_description,
    preset_names,
    valid_keys,
)


def test_quickstart_comes_first_and_every_preset_loads() -> None:
    names = preset_names()
    assert names[0] == "quickstart"
    assert "llama3.1-8b-sft" in names
    for name in names:
        config = load_config(name)
        assert config.preset == name
        assert preset_description(name)


def test_paper_presets_inherit_and_override() -> None:
    config = load_config("qwen2-7b-instruct")
    assert config.model == "Qwen/Qwen2-7B-Instruct"
    assert config.training.learning_rate == 5e-7
    assert config.methods == ("sso-joint", "pbaa", "ultrafeedback")
    assert load_config("infinity-llama3.1-8b-sft").methods == ("sso-joint",)


@pytest.mark.parametrize(
    ("preset", "model"),
    [
        ("v2-llama3-8b-sft", "BAAI/Infinity-Instruct-3M-0625-Llama3-8B"),
        ("v2-qwen2-7b-sft", "BAAI/Infinity-Instruct-3M-0625-Qwen2-7B"),
        ("v2-llama3-8b-instruct", "meta-llama/Meta-Llama-3-8B-Instruct"),
        ("v2-qwen2-7b-instruct", "Qwen/Qwen2-7B-Instruct"),
    ],
)
def test_the_second_version_as_it_is(preset: str, model: str) -> None:
    config = load_config(preset)
    assert (config.model, config.iterations, config.loss.kind) == (model, 1, "dpo")
    assert (config.queries.generator, config.queries.per_iteration) == (8000, None)
    assert config.training.of_step("generator").batch_size == 32
    assert config.training.of_step("policy").batch_size == 256
    assert config.training.of_step("policy").weight_decay == 0.1
    assert config.principles.select == "none"
    assert config.writer.model == "Qwen/Qwen2.5-72B-Instruct"
    assert set(config.benchmarks) == {"alpaca_eval", "mt_bench", "ifeval", "gsm8k", "math", "mmlu"}
    assert config.methods == ("sso", "pbaa", "ultrafeedback")


def test_a_step_of_training_has_its_own_values_of_some_keys() -> None:
    own = [
        "training.generator.batch_size=3",
        "training.generator.lora.rank=8",
        "training.epochs=2",
        "training.batch_size=2",
    ]
    training = load_config("quickstart", own).training
    assert training.of_step("generator").batch_size == 3
    assert training.of_step("policy").batch_size == training.batch_size == 2
    assert training.of_step("generator").epochs == training.of_step("policy").epochs == 2
    assert training.of_step("generator").lora.rank == 8
    assert training.of_step("generator").lora.alpha == training.lora.alpha
    assert training.of_step("policy").lora.rank == 0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.generator.batch_sise=2", "did you mean 'training.generator.batch_size'"),
        ("training.policy.warmup_ratio=2", "training.policy.warmup_ratio = 2"),
        ("training.policy.lora.rnk=2", "unknown key 'training.policy.lora.rnk'"),
        ("principles.select=none", "select none needs generated"),
        ("writer.knd=hf", "did you mean 'writer.kind'"),
    ],
)
def test_mistakes_in_the_sections_of_the_second_version(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_config("quickstart", [override])


def test_overrides_then_flags() -> None:
    config = load_config(
        "quickstart",
        ["loss.kind=dpo", "training.learning_rate=2e-6", "iterations=5", "seeds=[1, 2]"],
        {"iterations": 2, "judge": {"name": "gpt-4"}},
    )
    assert config.loss.kind == "dpo"
    assert config.training.learning_rate == 2e-6
    assert config.iterations == 2
    assert config.seeds == (1, 2)
    assert config.judge.name == "gpt-4"


def test_merge_goes_into_mappings_and_replaces_lists() -> None:
    assert merge({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}
    assert parse_override("a.b=3") == {"a": {"b": 3}}
    assert parse_override("a=") == {"a": None}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trainig.learning_rate=1e-5", "did you mean 'training'?"),
        ("loss.bet=0.2", "did you mean 'loss.beta'?"),
        ("learning_rate=1e-5", "did you mean 'training.learning_rate'?"),
        ("loss.kind=ppo", "'ipo' or 'dpo'"),
        ("training.batch_size=0", "greater than or equal to 1"),
        ("iterations=many", "valid integer"),
        ("noequals", "expected key=value"),
    ],
)
def test_a_wrong_override_names_the_right_key(override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config("quickstart", [override])
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        load_config("quickstart", ["loss.bet=1", "iterations=-1", "noequals"])
    assert len(str(error.value).splitlines()) == 3


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        load_config("quikstart")


def test_a_users_own_preset_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: quickstart\niterations: 1\n", encoding="utf-8")
    config = load_config(str(file))
    assert (config.preset, config.iterations) == ("mine", 1)
    file.write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(str(file))
    file.write_text("- a list", encoding="utf-8")
    with pytest.raises(ConfigError, match="must hold a mapping"):
        load_config(str(file))


def test_offline_is_one_iteration() -> None:
    config = load_config("quickstart", ["mode=offline"])
    assert (config.iterations, config.effective_iterations) == (3, 1)


def test_valid_keys_cover_nested_sections() -> None:
    keys = valid_keys()
    assert "training.lora.rank" in keys
    assert "judge.max_cost" in keys
    assert set(RunConfig.model_fields) <= set(keys)
