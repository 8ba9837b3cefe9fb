"""The runner: skips what is done, redoes exactly what a change touches, says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import harness.engines
from groundwork.claims import Claims
from groundwork.errors import UserError
from harness.config import load_config
from harness.data import open_source
from harness.models import ResolvedModel
from harness.news import Forecast
from harness.plan import plan_status
from harness.progress import Reporter
from harness.resources import Resources
from harness.run_folder import RunFolder
from harness.runner import Runner, chains
from harness.stage import Source, Stage, StageContext, StageResult
from harness.stage_runner import Outcome


class NoResources:
    """Stands in for the resources: these stages need none."""

    def release(self) -> None:
        pass

    def release_model(self, folder: Path) -> None:
        pass


def make_plan(
    ran: list[str], *, scale: int = 1, start: str = "x", extra: bool = False
) -> list[Stage]:
    """Two chained stages: ``first`` writes its start text, ``second`` repeats it."""

    def first(run: StageContext) -> StageResult:
        ran.append("first")
        (run.folder / "model").mkdir(exist_ok=True)
        (run.folder / "model" / "text").write_text(start)
        (run.folder / "notes").write_text("n")
        return StageResult(counts={"n": 1}, tokens=7)

    def second(run: StageContext) -> StageResult:
        ran.append("second")
        (run.folder / "out").write_text((run.inputs["text"] / "text").read_text() * scale)
        return StageResult(measures={"scale": scale})

    plan = [
        Stage("first", "train", {}, {"start": start}, first, prunable=("model",)),
        Stage("second", "eval", {"text": Source("first", "model")}, {"scale": scale}, second),
    ]
    if extra:
        plan.append(
            Stage("third", "eval", {"text": Source("first", "model")}, {"scale": 5}, second)
        )
    return plan


def execute(root: Path, plan: list[Stage]) -> Any:
    return Runner(
        RunFolder(root),
        plan,
        NoResources(),
        Reporter(Console(quiet=True), quiet=True),  # type: ignore[arg-type]
        redo=True,
    ).execute()


def test_first_run_then_nothing_to_do(tmp_path: Path) -> None:
    ran: list[str] = []
    summary = execute(tmp_path, make_plan(ran))
    assert summary.done == ["first", "second"]
    record = RunFolder(tmp_path).stage("first").record()
    assert record is not None
    assert (record.status, record.tokens, record.counts) == ("done", 7, {"n": 1})
    assert execute(tmp_path, make_plan(ran)).skipped == ["first", "second"]
    assert ran == ["first", "second"]


def test_prunable_outputs_go_once_read_and_come_back_when_needed(tmp_path: Path) -> None:
    ran: list[str] = []
    execute(tmp_path, make_plan(ran))
    assert not (tmp_path / "first" / "model").exists()
    assert (tmp_path / "first" / "notes").exists()
    summary = execute(tmp_path, make_plan(ran, scale=2))
    assert ran == ["first", "second", "first", "second"]
    assert summary.done == ["first", "second"]
    assert (tmp_path / "second" / "out").read_text() == "xx"
    execute(tmp_path, make_plan(ran, scale=2, extra=True))
    assert ran[4:] == ["first", "second"]
    assert (tmp_path / "third" / "out").read_text() == "xx"


def test_a_change_redoes_only_what_depends_on_it(tmp_path: Path) -> None:
    ran: list[str] = []
    execute(tmp_path, make_plan(ran))
    ran.clear()
    plan = make_plan(ran, start="y")
    reasons = [reason for reason, _ in plan_status(RunFolder(tmp_path), plan).values()]
    assert reasons == ["redone, changed: start x -> y", "waits for earlier stages"]
    execute(tmp_path, plan)
    assert ran == ["first", "second"]
    assert (tmp_path / "second" / "out").read_text() == "y"


def test_same_output_after_a_redo_keeps_what_follows(tmp_path: Path) -> None:
    ran: list[str] = []
    execute(tmp_path, make_plan(ran))
    (tmp_path / "first" / "notes").unlink()
    ran.clear()
    summary = execute(tmp_path, make_plan(ran))
    assert ran == ["first"]
    assert summary.skipped == ["second"]


def test_a_killed_stage_resumes_in_its_folder(tmp_path: Path) -> None:
    attempts: list[bool] = []

    def fragile(run: StageContext) -> StageResult:
        journal = run.folder / "generations.jsonl"
        attempts.append(journal.exists())
        journal.write_text("half")
        if len(attempts) == 1:
            raise KeyboardInterrupt
        (run.folder / "out").write_text("whole")
        return StageResult()

    plan = [Stage("s", "eval", {}, {"a": 1}, fragile)]
    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path, plan)
    record = RunFolder(tmp_path).stage("s").record()
    assert record is not None
    assert record.status == "running"
    execute(tmp_path, plan)
    assert attempts == [False, True]
    record = RunFolder(tmp_path).stage("s").record()
    assert record is not None
    assert list(record.outputs) == ["out"]


def test_a_killed_stage_with_changed_settings_starts_afresh(tmp_path: Path) -> None:
    seen: list[bool] = []

    def work(run: StageContext) -> StageResult:
        seen.append((run.folder / "junk").exists())
        (run.folder / "junk").write_text("x")
        if run.stage.settings["a"] == 1:
            raise KeyboardInterrupt
        return StageResult()

    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path, [Stage("s", "eval", {}, {"a": 1}, work)])
    execute(tmp_path, [Stage("s", "eval", {}, {"a": 2}, work)])
    assert seen == [False, False]


def test_a_newer_record_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "stage.json").write_text('{"schema": 99}')
    with pytest.raises(UserError, match="schema 99"):
        execute(tmp_path, make_plan([]))
    assert (folder / "stage.json").read_text() == '{"schema": 99}'


@pytest.mark.parametrize("name", ["first/model/text", "first/notes", "first/stage.json"])
def test_damage_of_any_output_is_noticed_and_redone(tmp_path: Path, name: str) -> None:
    ran: list[str] = []
    plan = [replace(stage, prunable=()) for stage in make_plan(ran)]
    execute(tmp_path, plan)
    before = (tmp_path / "second" / "out").read_bytes()
    data = bytearray((tmp_path / name).read_bytes())
    data[0] ^= 1
    (tmp_path / name).write_bytes(data)
    ran.clear()
    reason, _ = plan_status(RunFolder(tmp_path), plan)["first"]
    assert "is damaged" in reason
    assert execute(tmp_path, plan).done == ["first"]
    assert execute(tmp_path, plan).done == []
    assert ran == ["first"]
    assert (tmp_path / "second" / "out").read_bytes() == before


def test_an_input_damaged_during_the_run_is_made_again_before_it_is_read(tmp_path: Path) -> None:
    ran: list[str] = []
    first, second = make_plan(ran)

    def damaging(run: StageContext) -> StageResult:
        (tmp_path / "first" / "model" / "text").write_text("?")
        return StageResult()

    between = Stage("between", "eval", {}, {}, damaging)
    plan = [replace(first, prunable=()), between, second]
    execute(tmp_path, plan)
    assert ran == ["first", "first", "second"]
    assert (tmp_path / "second" / "out").read_text() == "x"


def test_damaged_results_set_aside_are_not_taken_back(tmp_path: Path) -> None:
    ran: list[str] = []
    attempts: list[bool] = []

    def fragile(run: StageContext) -> StageResult:
        attempts.append((run.folder / "half").exists())
        (run.folder / "half").write_text("x")
        if len(attempts) == 2:
            raise KeyboardInterrupt
        (run.folder / "out").write_text("whole")
        return StageResult()

    plan = [Stage("s", "eval", {}, {"a": 1}, fragile)]
    execute(tmp_path, plan)
    (tmp_path / "s" / "out").write_text("wrong")
    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path, plan)
    execute(tmp_path, plan)
    assert attempts == [False, False, True]
    assert (tmp_path / "s" / "out").read_text() == "whole"
    assert not (tmp_path / ".replaced" / "s").exists()
    assert ran == []


def test_stages_that_another_process_does_meanwhile_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.runner.LOOK_S", 0.01)
    ran: list[str] = []
    plan = make_plan(ran)
    claims = Claims(tmp_path / ".claims")
    other = claims.holding("first")
    other.__enter__()
    looks: list[int] = []
    runner = Runner(RunFolder(tmp_path), plan, NoResources(), Reporter(Console(quiet=True)))  # type: ignore[arg-type]
    wait = runner.executor.wait

    def waiting(seconds: float) -> list[Outcome]:
        looks.append(len(ran))
        if len(looks) == 3:
            other.__exit__(None, None, None)
            runner.executor._runner.attempt(plan[0])  # type: ignore[attr-defined]
        return wait(seconds)

    monkeypatch.setattr(runner.executor, "wait", waiting)
    summary = runner.execute()
    assert looks[:3] == [0, 0, 0]
    assert (summary.by_others, summary.done) == (["first"], ["second"])


def test_the_longest_line_of_stages_goes_first() -> None:
    def stage(name: str, *inputs: str) -> Stage:
        return Stage(name, "eval", {n: Source(n) for n in inputs}, {}, lambda run: StageResult())

    plan = [stage("a"), stage("a1", "a"), stage("b"), stage("b1", "b"), stage("b2", "b1")]
    assert chains(plan, Forecast({})) == {"a": 2, "a1": 1, "b": 3, "b1": 2, "b2": 1}
    assert chains(plan, Forecast({"a": 9, "b2": 3}))["a"] == 9


def test_stages_on_the_same_weights_share_one_engine_while_earlier_ones_are_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = harness.engines.open_engine

    def counted(settings: Any, model: Path) -> Any:
        opened.append(model.relative_to(tmp_path).as_posix())
        return real(settings, model)

    monkeypatch.setattr(harness.engines, "open_engine", counted)

    def train(run: StageContext) -> StageResult:
        run.resources.release()
        (run.folder / "model").mkdir()
        (run.folder / "model" / "text").write_text(run.stage.id)
        return StageResult()

    def read(run: StageContext) -> StageResult:
        run.resources.engine(run.inputs["model"])
        return StageResult()

    plan: list[Stage] = []
    for number in range(3):  # each checkpoint goes once the next training has read it
        before = {"policy": Source(f"train-{number - 1}", "model")} if number else {}
        plan.append(Stage(f"train-{number}", "train", before, {}, train, prunable=("model",)))
        plan += [
            Stage(
                f"eval-{number}-{name}",
                "eval",
                {"model": Source(f"train-{number}", "model")},
                {},
                read,
            )
            for name in "abc"
        ]
    config = load_config("quickstart", ["engine.kind=fake", "engine.loaded_models=1"])
    model = ResolvedModel(tmp_path, "folder", "m", "f" * 64)
    resources = Resources(config, model, open_source("sample"))
    reporter = Reporter(Console(quiet=True), quiet=True)
    Runner(RunFolder(tmp_path), plan, resources, reporter).execute()
    assert opened == [f"train-{number}/model" for number in range(3)]
    assert not list(tmp_path.glob("train-*/model"))
