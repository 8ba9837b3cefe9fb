"""``doctor RUN``: every kind of damage is found with its place, and a whole run is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.engines.resumable import Journal
from harness.run_check import check_run
from harness.run_folder import RunFolder
from harness.stage import SCRATCH
from tests.harness.test_run_folder import make_record


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of one finished stage with a journal, and one unfinished stage."""
    folder = RunFolder(tmp_path / "run")
    with folder.lock():
        folder.describe({"config": {}, "stages": ["base/eval/gsm8k", "sso/iter-1/policy"]})
    done = folder.stage("base/eval/gsm8k")
    done.path.mkdir(parents=True)
    (done.path / "scores.json").write_text("[]")
    journal = Journal(done.path / "generations.jsonl")
    journal.add("k", {"text": "a"})
    journal.close()
    done.write(make_record(status="done", outputs=done.outputs(ignore=SCRATCH)))
    folder.stage("sso/iter-1/policy").write(make_record())
    return folder


def test_a_whole_run(run: RunFolder) -> None:
    found = check_run(run.root)
    assert (found.stages, found.files, found.bytes, found.damage) == (2, 1, 2, [])
    assert found.notes == ["sso/iter-1/policy: unfinished, goes on at the next start"]


def _flip_keeping_the_time(root: Path) -> None:
    file = root / "base/eval/gsm8k/scores.json"
    state = file.stat()
    file.write_text("[1")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def _change(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda root: _rewrite(root / name, old, new)


def _rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (_flip_keeping_the_time, "base/eval/gsm8k: scores.json is damaged"),
        (lambda root: (root / "base/eval/gsm8k/scores.json").unlink(), "scores.json is missing"),
        (_change("base/eval/gsm8k/stage.json", '"done"', '"dome"'), "stage.json is damaged"),
        (lambda root: (root / "base/eval/gsm8k/stage.json").unlink(), "stage.json is missing"),
        (_change("base/eval/gsm8k/generations.jsonl", '"a"', '"b"'), "1 damaged lines"),
        (_change("run.json", "stages", "stagex"), "run.json is damaged"),
        (lambda root: (root / "run.json").unlink(), "run.json is missing"),
    ],
)
def test_damage_is_found_and_nothing_is_changed(
    run: RunFolder, harm: Callable[[Path], None], expected: str
) -> None:
    harm(run.root)
    before = {p: p.read_bytes() for p in run.root.rglob("*") if p.is_file()}
    assert any(expected in line for line in check_run(run.root).damage)
    assert before == {p: p.read_bytes() for p in run.root.rglob("*") if p.is_file()}


def test_leftovers_are_noted(run: RunFolder) -> None:
    (run.root / "base" / ".scores.json.1.tmp").write_text("x")
    assert any("left by a killed writer" in line for line in check_run(run.root).notes)


def test_no_run_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        check_run(tmp_path)
