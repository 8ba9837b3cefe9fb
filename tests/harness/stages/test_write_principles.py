"""Principles in a stage of their own: written once, shared by arms and taken by other runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.plan import build_plan
from harness.stages.write_principles import check_principles_from, read_principles
from tests.harness.plan_examples import plan_inputs

DIRECT = ("principles.source=generated", "principles.select=none", "writer.model=somebody")


def principle(query: str, good: str = "good") -> dict[str, Any]:
    return {"v": 1, "query_id": query, "features": [], "good": good, "bad": "bad"}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "principles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_one_stage_per_iteration_serves_every_arm() -> None:
    plan = build_plan(
        plan_inputs(*DIRECT, "iterations=2", "methods=[sso, pbaa]", benchmarks="gsm8k")
    )
    ids = [stage.id for stage in plan]
    assert [i for i in ids if i.startswith("principles")] == ["principles-1", "principles-2"]
    readers = [s.id for s in plan if "principles" in s.inputs]
    assert readers == [
        "sso/iter-1/sample", "sso/iter-1/pairs", "sso/iter-2/sample", "sso/iter-2/pairs",
        "pbaa/iter-1/sample", "pbaa/iter-2/sample",
    ]  # fmt: skip
    by_id = {stage.id: stage for stage in plan}
    assert by_id["principles-2"].inputs["queries"].output == "iter-2"
    assert by_id["principles-1"].kind == "sample"


def test_the_policy_as_its_own_writer_has_no_such_stage() -> None:
    plan = build_plan(plan_inputs("principles.source=generated", benchmarks="gsm8k"))
    assert not [stage for stage in plan if stage.id.startswith("principles")]


def test_another_writer_redoes_the_stage_and_its_memory_does_not() -> None:
    def settings(*more: str) -> Any:
        plan = build_plan(plan_inputs(*DIRECT, *more, benchmarks="gsm8k"))
        return next(stage for stage in plan if stage.id == "principles-1").settings

    assert settings("writer.model=weaker") != settings()
    assert settings("writer.tensor_parallel=4", "writer.gpu_memory=0.5") == settings()


def test_principles_of_a_run_of_a_folder_and_of_a_file(tmp_path: Path) -> None:
    run = tmp_path / "run"
    written(run / "principles-1", principle("a"))
    written(run / "principles-2", principle("b"))
    written(run / "sso" / "iter-1" / "sample", principle("a", "another"))
    assert set(read_principles(run)) == {"a", "b"}
    assert read_principles(run)["a"].good == "good"
    assert set(read_principles(run / "principles-1")) == {"a"}
    assert set(read_principles(run / "principles-1" / "principles.jsonl")) == {"a"}


def test_a_run_without_principles_or_with_two_of_a_query(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no principles\.jsonl"):
        read_principles(tmp_path)
    written(tmp_path / "principles-1", principle("a"))
    written(tmp_path / "principles-2", principle("a", "another"))
    with pytest.raises(UserError, match="query 'a' has two different principles"):
        read_principles(tmp_path)


def test_principles_of_other_queries_are_refused_before_anything_runs(tmp_path: Path) -> None:
    written(tmp_path, principle("elsewhere"))
    inputs = plan_inputs(f"principles_from={tmp_path}", benchmarks="gsm8k")
    with pytest.raises(UserError, match=r"has no principles for 18 queries of this run"):
        check_principles_from(inputs)
