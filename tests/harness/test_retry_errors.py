"""Failed items of finished stages are scored again on demand, from the outputs that are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from groundwork.files import write_atomic
from harness.progress import Reporter
from harness.retry_errors import failed_stages, failures, retry_errors
from harness.run_folder import RunFolder
from harness.stage import Source, Stage, StageContext, StageResult
from tests.harness.test_runner import NoResources, execute, make_plan

QUIET = Reporter(Console(quiet=True), quiet=True)


def test_the_line_about_failed_items() -> None:
    assert failures({}) == []
    assert failures({"a": 1})[0].startswith("1 item failed in scoring (a): ")
    assert failures({"a": 1, "b": 2})[0].startswith(
        "3 items failed in scoring (a and 1 more stages)"
    )


def test_only_scoring_is_done_again_and_an_interrupted_one_leaves_what_was(tmp_path: Path) -> None:
    calls: list[str] = []

    def work(run: StageContext) -> StageResult:
        calls.append("whole")
        (run.folder / "outputs.jsonl").write_text('{"item_id": "a"}\n')
        (run.folder / "items.jsonl").write_text('{"item_id": "a", "error": "judge: error"}\n')
        return StageResult(counts={"items": 1}, tokens=5, cost_usd=1.0)

    def rescore(run: StageContext) -> StageResult:
        calls.append("again")
        write_atomic(run.folder / "items.jsonl", '{"item_id": "a", "error": ""}\n')
        if calls.count("again") == 1:
            raise KeyboardInterrupt
        assert (run.folder / "outputs.jsonl").is_file()
        return StageResult(counts={"items": 1}, cost_usd=0.25)

    run = RunFolder(tmp_path)
    gone = {"model": Source("first", "model")}
    plan = [make_plan([])[0], Stage("s", "eval", gone, {}, work, rescore=rescore)]
    execute(tmp_path, plan)
    assert not (tmp_path / "first" / "model").exists(), "the checkpoint is not needed"
    before = (tmp_path / "s" / "items.jsonl").read_text()
    with pytest.raises(KeyboardInterrupt):
        retry_errors(run, plan, NoResources(), QUIET)  # type: ignore[arg-type]
    execute(tmp_path, plan)
    assert (tmp_path / "s" / "items.jsonl").read_text() == before
    assert failed_stages(run, plan) == {"s": 1}
    assert retry_errors(run, plan, NoResources(), QUIET) == ["s"]  # type: ignore[arg-type]
    assert failed_stages(run, plan) == {}
    record = run.stage("s").record()
    assert record is not None
    assert (record.status, record.tokens, record.cost_usd) == ("done", 5, 1.25)
    assert execute(tmp_path, plan).skipped == ["first", "s"]
    assert calls == ["whole", "again", "again"]
