"""From an experiment to configurations: names of folders, benchmarks, the quick scale, what a user lays on top."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.experiments import get_experiment
from harness.reproduce import (
    Options,
    all_benchmarks,
    benchmarks_of,
    parse_models,
    planned_runs,
    run_config,
    run_name,
)

PAPER = Options("paper", Path("r"), {})
QUICK = Options("quick", Path("r"), {})


def test_folders_are_named_after_preset_and_settings_and_shared_by_tables() -> None:
    (first, *_) = get_experiment("v2:table1").runs
    assert run_name(first, "paper", "v2") == "v2-llama3-8b-sft"
    assert run_name(get_experiment("v2:table4").runs[0], "paper", "v2") == "v2-llama3-8b-sft"
    assert (
        run_name(get_experiment("v2:table6").runs[0], "paper", "v2")
        == "v2-llama3-8b-sft-loss.kind=ipo"
    )
    assert run_name(first, "quick", "v2") == "quick-v2"


def test_a_run_evaluates_what_its_table_shows_and_checks_queries_against_all() -> None:
    experiment = get_experiment("v2:table3")
    assert benchmarks_of(experiment) == ("alpaca_eval", "arena_hard")
    config = run_config(experiment, experiment.runs[0], PAPER)
    assert set(config.benchmarks) == {"alpaca_eval", "arena_hard"}
    assert {b.protocol for b in config.benchmarks.values()} == {"paper"}
    other = get_experiment("v2:table1")
    assert set(config.queries.checked_against or ()) == set(all_benchmarks("v2"))
    assert run_config(other, other.runs[0], PAPER).queries == config.queries
    assert (config.iterations, config.loss.kind) == (1, "dpo")


def test_offline_dpo_and_the_weaker_writer_are_settings_of_their_runs() -> None:
    offline = get_experiment("v1:table3")
    found = run_config(offline, offline.runs[1], PAPER)
    assert (found.mode, found.methods) == ("offline", ("ultrafeedback", "sso-joint"))
    dpo = get_experiment("v1:table6")
    assert run_config(dpo, dpo.runs[0], PAPER).loss.kind == "dpo"
    writers = get_experiment("v2:table5")
    weak = [r for r in writers.runs if r.writer == "weak"]
    assert run_config(writers, weak[0], PAPER).writer.model == "Qwen/Qwen2.5-3B-Instruct"
    quick = run_config(writers, weak[0], QUICK)
    strong = run_config(writers, next(r for r in writers.runs if r.writer == "strong"), QUICK)
    assert quick.writer.model == strong.writer.model
    assert quick.writer != strong.writer


def test_at_the_quick_scale_all_models_are_one_run_with_every_arm() -> None:
    plans = planned_runs(get_experiment("v2:table3"), QUICK)
    assert [plan.folder.name for plan in plans] == ["quick-v2"]
    assert plans[0].config.methods == ("pbaa", "sso", "sso-plus", "sso-minus")
    assert plans[0].config.data == "starter"
    assert plans[0].config.training.of_step("generator").batch_size == 2
    rewards = planned_runs(get_experiment("v2:table2"), QUICK)
    assert [plan.config.reward.name for plan in rewards if plan.reward][:2] == [
        "ultrafeedback",
        "pbaa",
    ]
    assert rewards[2].config.reward.data == ("run:r/quick-v2/pbaa",)


def test_the_users_settings_and_models_are_on_top_but_not_arms_and_benchmarks() -> None:
    experiment = get_experiment("v2:table4")
    options = Options(
        "quick", Path("r"), {"Llama3-8B-SFT": "mine"},
        ("queries.per_iteration=3", "loss.kind=ipo", "methods=[pbaa]", "benchmarks.gsm8k.limit=1"),
    )  # fmt: skip
    config = run_config(experiment, experiment.runs[0], options)
    assert (config.model, config.queries.per_iteration, config.loss.kind) == ("mine", 3, "ipo")
    assert config.methods == ("pbaa-generator", "sso")
    assert set(config.benchmarks) == {"alpaca_eval", "mt_bench"}


def test_models_by_name() -> None:
    assert parse_models(["A=b", "C=d=e"]) == {"A": "b", "C": "d=e"}
    with pytest.raises(UserError, match="expected NAME=MODEL"):
        parse_models(["A"])
    with pytest.raises(UserError, match=r"Llama3\.1-8B-SFT is not public"):
        planned_runs(get_experiment("v1:table1"), PAPER)
    with pytest.raises(UserError, match="has no model 'Llama3'"):
        planned_runs(get_experiment("v2:table1"), Options("paper", Path("r"), {"Llama3": "x"}))
