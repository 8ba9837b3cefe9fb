"""Seals of mid-stage checkpoints: the newest whole one is found, and the curve fits it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sso.checkpoint_seal import CURVE, SEAL, newest_whole, seal_checkpoint


def add(work: Path, step: int) -> Path:
    """A checkpoint after ``step`` steps, as a training leaves it."""
    folder = work / "checkpoints" / f"checkpoint-{step}"
    (folder / "state").mkdir(parents=True)
    (folder / "state" / "weights").write_text(f"w{step}")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    with (work / CURVE).open("a") as stream:
        stream.write(f'{{"step": {step}}}\n')
    seal_checkpoint(folder, work)
    return folder


def test_the_newest_is_taken_and_the_curve_cut_to_it(tmp_path: Path) -> None:
    folders = [add(tmp_path, step) for step in (2, 10)]
    with (tmp_path / CURVE).open("a") as stream:
        stream.write('{"step": 11}\n')
    assert newest_whole(tmp_path) == folders[1]
    assert (tmp_path / CURVE).read_text() == '{"step": 2}\n{"step": 10}\n'


@pytest.mark.parametrize("seal", ["", "[]", "{}", '{"step": 99}'])
def test_a_checkpoint_without_a_whole_seal_is_not_used(tmp_path: Path, seal: str) -> None:
    first, second = add(tmp_path, 1), add(tmp_path, 2)
    (second / SEAL).write_text(seal)
    assert newest_whole(tmp_path) == first
    assert not second.exists()
    assert (tmp_path / CURVE).read_text() == '{"step": 1}\n'


def test_nothing_whole_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert newest_whole(tmp_path) is None
    (add(tmp_path, 1) / "state" / "weights").unlink()
    assert newest_whole(tmp_path) is None
    assert "state/weights is missing" in caplog.text
