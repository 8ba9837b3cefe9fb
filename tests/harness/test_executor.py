"""The default executor: one stage at a time, in the process that submits it."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.executor import InProcess
from harness.stage import Stage, StageContext, StageResult
from tests.harness.test_runner import make_plan
from tests.harness.test_stage_runner import runner


def test_a_stage_has_ended_when_it_is_submitted(tmp_path: Path) -> None:
    ran: list[str] = []
    plan = make_plan(ran)
    executor = InProcess(runner(tmp_path, plan))
    assert executor.room(plan[0])
    executor.submit(plan[0])
    assert not executor.room(plan[0])
    assert [(o.stage, o.state) for o in executor.wait(0)] == [("first", "done")]
    assert executor.room(plan[0])
    assert executor.wait(0) == []


def test_a_failure_ends_the_run_or_is_an_outcome(tmp_path: Path) -> None:
    def work(run: StageContext) -> StageResult:
        raise UserError("no")

    stage = Stage("s", "eval", {}, {}, work)
    with pytest.raises(UserError):
        InProcess(runner(tmp_path, [stage])).submit(stage)
    going_on = InProcess(runner(tmp_path, [stage]), keep_going=True)
    going_on.submit(stage)
    (outcome,) = going_on.wait(0)
    assert (outcome.state, outcome.error) == ("failed", "no")
