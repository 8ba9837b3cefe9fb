"""Stages of other run folders are taken over where, and only where, everything they depend on is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.adopt import adopt
from harness.plan import input_fingerprints
from harness.run_folder import RunFolder, StageRecord
from harness.stage import Source, Stage, StageResult

STAGE = Stage(
    "sso/iter-1/sample",
    "sample",
    {"policy": Source(fingerprint="p")},
    {"a": 1},
    lambda run: StageResult(),
)


def finished(root: Path, stage: Stage = STAGE, text: str = "made") -> RunFolder:
    run = RunFolder(root)
    folder = run.stage(stage.id)
    folder.path.mkdir(parents=True)
    (folder.path / "pairs.jsonl").write_text(text)
    record = StageRecord(
        stage.id, stage.kind, "f", input_fingerprints(stage, {}), dict(stage.settings), stage.seed,
        status="done", seconds=3.0,
    )  # fmt: skip
    record.outputs = folder.outputs()
    folder.write(record)
    return run


def test_a_stage_with_the_same_settings_and_inputs_is_taken(tmp_path: Path) -> None:
    other, mine = finished(tmp_path / "other"), RunFolder(tmp_path / "mine")
    assert adopt(mine, STAGE, {}, [RunFolder(tmp_path / "none"), other]) == "other"
    record = mine.stage(STAGE.id).record()
    assert record is not None
    assert (record.status, record.seconds) == ("done", 3.0)
    assert not mine.stage(STAGE.id).damage(record)
    assert (mine.stage(STAGE.id).path / "pairs.jsonl").read_text() == "made"
    assert other.stage(STAGE.id).record() is not None


@pytest.mark.parametrize(
    "changed",
    [
        replace(STAGE, settings={"a": 2}),
        replace(STAGE, seed=1),
        replace(STAGE, inputs={"policy": Source(fingerprint="q")}),
        replace(STAGE, id="pbaa/iter-1/sample"),
    ],
)
def test_another_setting_seed_input_or_name_is_not(changed: Stage, tmp_path: Path) -> None:
    mine = RunFolder(tmp_path / "mine")
    assert adopt(mine, changed, {}, [finished(tmp_path / "other")]) == ""
    assert not mine.root.exists()


def test_a_damaged_or_unfinished_stage_is_not(tmp_path: Path) -> None:
    damaged, running = finished(tmp_path / "damaged"), finished(tmp_path / "running")
    (damaged.stage(STAGE.id).path / "pairs.jsonl").write_text("other!")
    record = running.stage(STAGE.id).record()
    assert record is not None
    record.status = "running"
    running.stage(STAGE.id).write(record)
    assert adopt(RunFolder(tmp_path / "mine"), STAGE, {}, [damaged, running]) == ""
