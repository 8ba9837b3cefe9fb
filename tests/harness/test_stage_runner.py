"""One stage under its claim: run, left to others, taken over, waiting for inputs that are gone."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from groundwork.claims import Claims, this_process
from groundwork.errors import UserError
from harness.progress import Reporter
from harness.run_folder import RunFolder
from harness.stage import Stage, StageContext, StageResult
from harness.stage_runner import StageRunner, numbered
from tests.harness.test_runner import NoResources, make_plan


class Said(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def runner(root: Path, plan: list[Stage], redo: bool = False) -> StageRunner:
    return StageRunner(RunFolder(root), plan, NoResources(), Said(), redo)  # type: ignore[arg-type]


def test_a_stage_waits_for_its_inputs_then_runs_once(tmp_path: Path) -> None:
    ran: list[str] = []
    plan = make_plan(ran)
    stages = runner(tmp_path, plan)
    assert stages.attempt(plan[1]).state == "waits"
    assert [stages.attempt(stage).state for stage in plan] == ["done", "done"]
    assert [stages.attempt(stage).state for stage in plan] == ["skipped", "skipped"]
    assert ran == ["first", "second"]
    assert stages.reporter.lines == ["[1/2] first: started", "[2/2] second: started"]  # type: ignore[attr-defined]
    assert numbered(plan, plan[1]) == "[2/2] second"


def test_an_input_that_is_gone_is_named_and_made_again_when_wanted(tmp_path: Path) -> None:
    ran: list[str] = []
    plan = make_plan(ran)
    stages = runner(tmp_path, plan)
    stages.attempt(plan[0])
    RunFolder(tmp_path).stage("first").prune("model")
    outcome = stages.attempt(plan[1])
    assert (outcome.state, outcome.lost) == ("waits", {"first": "model"})
    assert stages.attempt(plan[0]).state == "skipped"
    assert stages.attempt(plan[0], "notes").state == "skipped"
    assert stages.attempt(plan[0], "model").state == "done"
    assert stages.attempt(plan[1]).state == "done"
    assert ran == ["first", "first", "second"]


def test_a_stage_of_another_process_is_left_to_it(tmp_path: Path) -> None:
    ran: list[str] = []
    plan = make_plan(ran)
    with Claims(tmp_path / ".claims").holding("first"):
        assert runner(tmp_path, plan).attempt(plan[0]).state == "busy"
    assert ran == []


def test_a_stage_of_a_dead_worker_is_taken_over_and_that_is_said(tmp_path: Path) -> None:
    ran: list[str] = []
    plan = make_plan(ran)
    file = tmp_path / ".claims" / "first" / "1.json"
    file.parent.mkdir(parents=True)
    dead = {**vars(this_process()), "pid": psutil.pids()[-1] + 100_000}
    file.write_text(json.dumps({"holder": dead}))
    stages = runner(tmp_path, plan)
    assert stages.attempt(plan[0]).state == "done"
    first = stages.reporter.lines[0]  # type: ignore[attr-defined]
    assert first.startswith(f"first: taken over from process {dead['pid']} on ")


def test_the_claim_goes_back_after_a_failure(tmp_path: Path) -> None:
    def work(run: StageContext) -> StageResult:
        raise UserError("no")

    plan = [Stage("s", "eval", {}, {}, work)]
    with pytest.raises(UserError, match="no"):
        runner(tmp_path, plan).attempt(plan[0])
    assert Claims(tmp_path / ".claims").living() == {}


def test_a_worker_that_lost_its_claim_writes_no_record(tmp_path: Path) -> None:
    def work(run: StageContext) -> StageResult:
        (tmp_path / ".claims" / "s" / "2.json").write_text("{}")
        claims = [c for c in held._held.values()]
        claims[0].beat()
        return StageResult()

    plan = [Stage("s", "eval", {}, {}, work)]
    stages = runner(tmp_path, plan)
    held = stages.claims
    with pytest.raises(UserError, match="took this stage over"):
        stages.attempt(plan[0])
    record = RunFolder(tmp_path).stage("s").record()
    assert record is not None
    assert record.status == "running"


def test_finished_results_of_other_settings_need_redo(tmp_path: Path) -> None:
    ran: list[str] = []
    runner(tmp_path, make_plan(ran)).attempt(make_plan(ran)[0])
    plan = make_plan(ran, start="y")
    with pytest.raises(UserError, match="would be redone"):
        runner(tmp_path, plan).attempt(plan[0])
    assert runner(tmp_path, plan, redo=True).attempt(plan[0]).state == "done"
