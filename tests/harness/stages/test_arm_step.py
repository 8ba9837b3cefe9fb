"""An arm's step as a stage: what it reads, what its fingerprint covers, what may be removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from groundwork.stage_result import StageResult
from harness.stage import CheckpointKey, Source, Stage, StageContext
from harness.stages.arm_step import arm_step_stage
from sso.arms import get_arm
from tests.harness.plan_examples import plan_inputs

NAMES = ("policy", "queries", "preferences", "sample", "generator", "pairs")
SOURCES = {name: Source(stage=name) for name in NAMES}


def stage(step: str, *overrides: str, iteration: int = 1) -> Stage:
    arm = get_arm("sso")
    found = next(s for s in arm.steps if s.name == step)
    key = CheckpointKey("sso", iteration, 0)
    return arm_step_stage(plan_inputs(*overrides), arm, found, key, SOURCES)


def test_a_step_reads_what_it_names_and_sampling_the_queries() -> None:
    assert set(stage("sample").inputs) == {"policy", "queries"}
    assert "queries" not in stage("generator").inputs
    assert stage("generator").id == "sso/iter-1/generator"


@pytest.mark.parametrize(
    "key",
    [
        "training.checkpoint_every=7",
        "training.report_to=[tensorboard]",
        "training.micro_tokens=64",
        "training.gradient_checkpointing=true",
        "launch.devices=4",
        "launch.strategy=fsdp",
        "training.saved_precision=same",
    ],
)
def test_keys_that_only_move_speed_or_logging_are_no_part_of_the_fingerprint(key: str) -> None:
    assert stage("policy", key).settings == stage("policy").settings


@pytest.mark.parametrize(
    ("step", "key"),
    [
        ("policy", "training.learning_rate=1e-3"),
        ("policy", "training.saved_precision=fp32"),
        ("generator", "loss.gamma=0.5"),
        ("sample", "sampling.temperature=0.1"),
        ("sample", "engine.dtype=bfloat16"),
    ],
)
def test_keys_that_move_a_figure_are(step: str, key: str) -> None:
    assert stage(step, key).settings != stage(step).settings


def test_a_key_of_one_training_step_is_no_part_of_the_other() -> None:
    assert stage("policy", "training.generator.batch_size=9").settings == stage("policy").settings
    assert stage("generator", "training.generator.batch_size=9").settings["training"] == {
        **stage("generator").settings["training"],
        "batch_size": 9,
    }


def test_sampling_for_a_generator_reads_its_own_queries_where_it_has_some() -> None:
    sources = {**SOURCES, "generator_queries": Source(stage="own"), "principles": Source(stage="w")}
    arm = get_arm("sso")
    key = CheckpointKey("sso", 1, 0)
    inputs = plan_inputs("queries.generator=3")
    steps = {s.name: arm_step_stage(inputs, arm, s, key, sources) for s in arm.steps}
    assert steps["sample"].inputs["queries"].stage == "own"
    assert steps["pairs"].inputs["queries"].stage == "queries"
    assert steps["sample"].inputs["principles"].stage == "w"
    assert "principles" not in steps["policy"].inputs


def test_a_replaced_principles_file_changes_the_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    found = []
    for text in ("a: 1", "a: 2"):
        file.write_text(text)
        found.append(stage("sample", f"principles.file={file}").settings["principles_file"])
    assert found[0] != found[1]


def test_generators_may_go_and_policies_of_earlier_iterations_on_request() -> None:
    assert stage("generator").prunable == ("model",)
    assert stage("generator", "storage.keep_generators=true").prunable == ()
    assert stage("policy").prunable == ()
    last = ("storage.keep_policies=last", "iterations=2")
    assert stage("policy", *last).prunable == ("model",)
    assert stage("policy", *last, iteration=2).prunable == ()


def test_auto_is_what_it_stands_for_in_the_fingerprint() -> None:
    """A machine that gets a GPU or vLLM between two runs writes other texts."""
    auto = stage("sample", "engine.kind=auto", "engine.dtype=auto", "engine.device=auto")
    assert auto.settings["engine"] == {"kind": "hf", "dtype": "fp32"}
    assert auto.settings == stage("sample").settings


def test_what_a_training_noted_is_in_the_stages_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*arguments: object, how: object) -> StageResult:
        return StageResult({"steps": 1}, notes=("one sequence at a time",), cost_usd=0.5)

    monkeypatch.setattr("harness.stages.arm_step.launch", trained)
    monkeypatch.setattr("sso.arms.steps.stored_records", lambda file, kind: [])
    resources = SimpleNamespace(release=lambda: None)
    made = stage("policy")
    inputs = {name: tmp_path for name in made.inputs}
    run = StageContext(made, tmp_path, inputs, resources, lambda done, total: None)  # type: ignore[arg-type]
    assert made.work(run) == trained(how=None)


def test_the_day_that_a_template_writes_is_a_setting_of_what_renders_it(tmp_path: Path) -> None:
    inputs = plan_inputs()
    (tmp_path / "chat_template.jinja").write_text("{{ strftime_now('%Y') }}")
    dated = replace(inputs, model=replace(inputs.model, path=tmp_path))
    arm, key = get_arm("sso"), CheckpointKey("sso", 1, 0)
    for step in arm.steps:
        plain, with_day = (arm_step_stage(i, arm, step, key, SOURCES) for i in (inputs, dated))
        assert "template_date" not in plain.settings
        assert with_day.settings == {**plain.settings, "template_date": "2024-07-26"}
