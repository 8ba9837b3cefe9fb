"""The stages planned without data are those that are laid with data."""

from __future__ import annotations

import pytest

from harness.config import load_config
from harness.plan import build_plan
from harness.planning.offline import PlannedStage, critical_path, planned_stages
from tests.harness.plan_examples import plan_inputs


@pytest.mark.parametrize(
    "overrides",
    [
        ("methods=[sso, pbaa, ultrafeedback]", "iterations=2"),
        ("methods=[sso-joint, without-g]", "iterations=1", "seeds=[0, 1]"),
        ("methods=[sso]", "iterations=3", "mode=offline"),
        (
            "methods=[sso, pbaa]",
            "iterations=2",
            "writer.model=HuggingFaceTB/SmolLM2-135M-Instruct",
            "principles.source=generated",
        ),
        ("methods=[]", "iterations=0"),
    ],
)
def test_the_same_stages_in_the_same_order(overrides: tuple[str, ...]) -> None:
    inputs = plan_inputs(*overrides)
    planned, laid = planned_stages(inputs.config), build_plan(inputs)
    assert [stage.id for stage in planned] == [stage.id for stage in laid]
    for ours, theirs in zip(planned, laid, strict=True):
        assert ours.kind == theirs.kind
        sources = {source.stage for source in theirs.inputs.values() if source.stage}
        assert set(ours.after) == sources, ours.id


def test_a_third_of_the_query_set_per_iteration_and_the_writing_of_principles() -> None:
    plan = {stage.id: stage for stage in planned_stages(load_config("llama3.1-8b-instruct"))}
    sample = plan["sso-joint/iter-1/sample"]
    assert 61_135 // 3 == 20_378
    # three texts of 400 tokens, features chosen and principles written (125 tokens each)
    assert sample.new == 20_378 * 3 * 400 + 20_378 * 2 * 250 // 2
    policy = plan["sso-joint/iter-1/policy"]
    assert (policy.trains, policy.train) == ("joint", 20_378 * (3 * 60 + 2 * 250 + 6 * 400))
    assert plan["base/eval/mmlu_pro"].new == 12_032 * 400


def test_the_longest_chain_by_hand() -> None:
    plan = [
        PlannedStage("a", "train"),
        PlannedStage("b", "train", ("a",)),
        PlannedStage("c", "eval", ("a",)),
        PlannedStage("d", "eval", ("b",)),
    ]
    seconds = {"a": 3.0, "b": 2.0, "c": 9.0, "d": 1.0}
    assert critical_path(plan, seconds) == (12.0, ["a", "c"])
    assert critical_path([], {}) == (0.0, [])
