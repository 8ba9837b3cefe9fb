"""The stage of one benchmark: its request, and what its fingerprint covers."""

from __future__ import annotations

from harness.stage import CheckpointKey, Stage
from harness.stages.evaluate import eval_request, eval_stage
from tests.harness.plan_examples import plan_inputs

BASE = "benchmarks={gsm8k: {protocol: quick, limit: 3}, mt_bench: {protocol: community}}"


def stage(name: str, *overrides: str) -> Stage:
    inputs = plan_inputs(BASE, *overrides)
    return eval_stage(inputs, name, CheckpointKey("sso", 2, 5), inputs.base)


def test_the_same_items_for_every_checkpoint_and_seed() -> None:
    inputs = plan_inputs(BASE, "seeds=[4,5]")
    request = eval_request(inputs, "gsm8k")
    assert (request.limit, request.seed, request.protocol.name) == (3, 4, "gsm8k/quick")
    first = eval_stage(inputs, "gsm8k", CheckpointKey("sso", 1, 4), inputs.base)
    second = eval_stage(inputs, "gsm8k", CheckpointKey("sso", 1, 5), inputs.base)
    assert first.inputs["data"] == second.inputs["data"]


def test_overrides_limits_and_protocol_enter_the_fingerprint() -> None:
    settings = stage("gsm8k").settings
    assert settings["protocol"] == "gsm8k/quick"
    assert stage("gsm8k", "benchmarks.gsm8k.overrides.max_new_tokens=9").settings != settings
    assert stage("gsm8k", "benchmarks.gsm8k.limit=2").settings["limit"] == 2
    assert stage("gsm8k").id == "sso/iter-2/eval/gsm8k"


def test_only_judged_benchmarks_depend_on_the_judge() -> None:
    assert "judge" not in stage("gsm8k").settings
    other = stage("mt_bench", "judge.name=gpt-4.1").settings["judge"]
    assert "gpt-4.1" in str(other)
    assert stage("mt_bench").settings["judge"] != other


def test_own_reasoning_tags_are_part_of_every_benchmarks_protocol() -> None:
    named = 'reasoning_markers=[["<reflect>", "</reflect>"]]'
    for name in ("gsm8k", "mt_bench"):
        assert stage(name, named).settings != stage(name).settings
    assert eval_request(plan_inputs(BASE, named), "gsm8k").overrides == {
        "reasoning_markers": [["<reflect>", "</reflect>"]]
    }
