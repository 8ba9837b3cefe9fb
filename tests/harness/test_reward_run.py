"""The plan of a reward model: pairs, training, benchmarks, for every seed."""

from __future__ import annotations

import pytest
from rich.console import Console

from groundwork.errors import UserError
from harness.config import load_config
from harness.progress import Reporter
from harness.reward_run import prepare_reward, reward_plan
from harness.stages.reward_training import pair_set
from tests.harness.plan_examples import plan_inputs

QUIET = Reporter(Console(), quiet=True)


def test_pairs_training_and_benchmarks_of_every_seed() -> None:
    inputs = plan_inputs("methods=[]", "seeds=[0, 1]", benchmarks="rewardbench,rewardbench2")
    plan = reward_plan(inputs, [pair_set("skywork", inputs.data)], "mix")
    first = [stage.id for stage in plan if stage.seed == 0]
    assert first == [
        f"seed-0/mix/iter-1/{name}"
        for name in ("pairs", "reward", "eval/rewardbench", "eval/rewardbench2")
    ]
    trained = {stage.id: stage for stage in plan}["seed-1/mix/iter-1/reward"]
    assert trained.inputs["pairs"].stage == "seed-1/mix/iter-1/pairs"
    assert plan[2].inputs["model"].output == "model"


def test_settings_of_the_reward_step_alone_change_its_training() -> None:
    def training(*overrides: str) -> object:
        inputs = plan_inputs("methods=[]", *overrides, benchmarks="rewardbench")
        return reward_plan(inputs, [], "mix")[1].settings["training"]

    assert training("training.reward.batch_size=9") != training()
    assert training("training.policy.batch_size=9") == training()


def test_no_pairs_and_a_benchmark_of_text_are_refused() -> None:
    with pytest.raises(UserError, match="a reward model needs pairs"):
        prepare_reward(load_config("quickstart", [], {"benchmarks": {}}), QUIET)
    given = load_config("quickstart", [], {"reward": {"data": ["skywork"]}})
    with pytest.raises(UserError, match="needs a model that writes text"):
        prepare_reward(given, QUIET)
