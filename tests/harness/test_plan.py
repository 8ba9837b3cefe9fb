"""The stages of an experiment in their order, and what each reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.plan import build_plan, changes, plan_status, would_be_redone
from harness.run_folder import RunFolder, StageRecord
from harness.stage import Stage, StageResult
from tests.harness.plan_examples import plan_inputs

SMALL = ("methods=[sso,pbaa]", "iterations=2")


def test_the_order_of_two_arms_over_two_iterations() -> None:
    assert [stage.id for stage in build_plan(plan_inputs(*SMALL, benchmarks="gsm8k"))] == [
        "base/eval/gsm8k",
        "queries",
        *(
            f"sso/iter-{n}/{name}"
            for n in (1, 2)
            for name in ("sample", "generator", "pairs", "policy", "pair_accuracy", "eval/gsm8k")
        ),
        *(
            f"pbaa/iter-{n}/{name}"
            for n in (1, 2)
            for name in ("sample", "policy", "pair_accuracy", "eval/gsm8k")
        ),
    ]


def test_an_iteration_starts_from_the_policy_before_it() -> None:
    plan = {stage.id: stage for stage in build_plan(plan_inputs(*SMALL))}
    first, second = plan["sso/iter-1/sample"].inputs, plan["sso/iter-2/sample"].inputs
    assert first["policy"].fingerprint == "f" * 64
    assert (second["policy"].stage, second["policy"].output) == ("sso/iter-1/policy", "model")
    assert plan["sso/iter-2/eval/gsm8k"].inputs["model"].stage == "sso/iter-2/policy"
    assert plan["sso/iter-1/pair_accuracy"].inputs["pairs"].stage == "sso/iter-1/pairs"
    assert plan["pbaa/iter-1/pair_accuracy"].inputs["pairs"].stage == "pbaa/iter-1/sample"
    assert plan["pbaa/iter-1/sample"].inputs["policy"].fingerprint == "f" * 64


def test_several_seeds_have_folders_of_their_own_and_one_base() -> None:
    ids = [stage.id for stage in build_plan(plan_inputs(*SMALL, "seeds=[3,4]"))]
    assert ids.count("base/eval/gsm8k") == 1
    assert {name.split("/")[0] for name in ids} == {"base", "seed-3", "seed-4"}


def test_offline_training_is_one_iteration_and_no_training_leaves_the_base() -> None:
    offline = build_plan(plan_inputs(*SMALL, "mode=offline"))
    assert {stage.iteration for stage in offline} == {0, 1}
    alone = build_plan(plan_inputs("iterations=0", benchmarks="gsm8k"))
    assert [stage.id for stage in alone] == ["base/eval/gsm8k"]


def test_an_unknown_arm_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'pbaa'"):
        build_plan(plan_inputs("methods=[pbba]"))


def stage(name: str, kind: str = "eval", **settings: object) -> Stage:
    return Stage(name, kind, {}, settings, lambda run: StageResult())  # type: ignore[arg-type]


def record(name: str, status: str = "done", **settings: object) -> StageRecord:
    return StageRecord(name, "eval", "x", {}, settings, status=status)


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ({"a": 1}, {"a": 1}, ""),
        ({"a": 1}, {"a": 2}, "a 1 -> 2"),
        ({"loss": {"kind": "ipo", "beta": 0.1}}, {"loss": {"kind": "dpo", "beta": 0.1}}, "loss.kind ipo -> dpo"),
        ({}, {"a": (1, 2)}, "a None -> [1, 2]"),
        ({"a": "x" * 40}, {"a": 1}, f"a {'x' * 21}... -> 1"),
        (dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2), "a 1 -> 2, b 1 -> 2, c 1 -> 2, d 1 -> 2, ..."),
    ],
)  # fmt: skip
def test_a_change_is_named_by_its_key(
    old: dict[str, object], new: dict[str, object], shown: str
) -> None:
    assert changes(record("s", **old), stage("s", **new), {}) == shown


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ({"training": {"epochs": 1, "micro_tokens": 8192}}, {"training": {"epochs": 1}}, ""),
        (
            {"training": {"epochs": 1, "gradient_checkpointing": True}},
            {"training": {"epochs": 2}},
            "training.epochs 1 -> 2",
        ),
        (
            {"engine": {"kind": "auto", "dtype": "bf16"}},
            {"engine": {"kind": "hf", "dtype": "bf16"}},
            "",
        ),
        (
            {"engine": {"kind": "hf", "dtype": "fp32"}},
            {"engine": {"kind": "vllm", "dtype": "fp32"}},
            "engine.kind hf -> vllm",
        ),
    ],
)
def test_records_of_older_versions_are_compared_by_what_moves_a_figure(
    old: dict[str, object], new: dict[str, object], shown: str
) -> None:
    """They hold settings of speed, and ``auto`` where a newer version writes what it stood for."""
    assert changes(record("s", **old), stage("s", **new), {}) == shown


def test_only_finished_stages_of_other_settings_would_be_redone(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for name, status in (("a", "done"), ("b", "running"), ("c", "done")):
        run.stage(name).write(record(name, status, n=1))
    plan = [stage("a", n=2), stage("b", n=2), stage("c", "data", n=2), stage("d", n=2)]
    assert would_be_redone(run, plan) == {"a": "n 1 -> 2"}
    assert would_be_redone(run, [stage("a", n=1)]) == {}
    reasons = [reason for reason, _ in plan_status(run, plan).values()]
    assert reasons[1:] == ["redone, changed: n 1 -> 2", "redone, changed: n 1 -> 2", "started"]
