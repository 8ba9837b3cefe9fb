"""Trainings that are killed, whose checkpoints are damaged, or whose inputs change, and then resumed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sso.checkpoint_seal import CURVE, REFERENCES, SEAL
from tests.sso.test_training import run, settings_of, weights


class _KilledError(Exception):
    pass


def test_killed_in_the_middle_resumes_to_the_same_weights(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    settings = settings_of(epochs=3, checkpoint_every=2, learning_rate=3e-3, schedule="cosine")
    whole = run(tiny_model_dir, tmp_path / "whole", settings)

    def kill(done: int, total: int) -> None:
        if done >= 8 + 5 * 4:  # references of 8 groups, then five of six steps
            raise _KilledError

    with pytest.raises(_KilledError):
        run(tiny_model_dir, tmp_path / "killed", settings, progress=kill)
    killed = tmp_path / "killed" / "work"
    assert (killed / "checkpoints" / "checkpoint-4").is_dir()
    # a checkpoint that was being written when the process died has no trainer state yet
    torn = shutil.copytree(
        killed / "checkpoints" / "checkpoint-4", killed / "checkpoints" / "checkpoint-5"
    )
    (torn / "trainer_state.json").write_text('{"global_step": ')
    (torn / SEAL).unlink()
    starts: list[int] = []
    resumed = run(
        tiny_model_dir,
        tmp_path / "killed",
        settings,
        progress=lambda done, total: starts.append(done),
    )
    assert starts[0] == 8 + 5 * 4, "must go on after step 4"
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(expected[k], found[k]) for k in expected)
    assert resumed.counts == whole.counts
    assert resumed.measures["loss"] == whole.measures["loss"]


def _damage_weights(checkpoint: Path) -> None:
    file = next(checkpoint.rglob("*.safetensors"), None) or next(checkpoint.rglob("*.distcp"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    file.write_bytes(data)


def _lose_schedule(checkpoint: Path) -> None:
    (checkpoint / "scheduler.pt").unlink()


def _lose_seal(checkpoint: Path) -> None:
    (checkpoint / SEAL).unlink()


def _damage_curve(checkpoint: Path) -> None:
    curve = checkpoint.parents[1] / CURVE
    lines = curve.read_bytes().splitlines(keepends=True)
    curve.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b"1", b"2", 1)]))


@pytest.mark.parametrize("harm", [_damage_weights, _lose_schedule, _lose_seal, _damage_curve])
def test_a_damaged_checkpoint_falls_back_to_the_older_one(
    tiny_model_dir: Path,
    tmp_path: Path,
    harm: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = settings_of(epochs=3, checkpoint_every=1, learning_rate=3e-3, schedule="cosine")
    run(tiny_model_dir, tmp_path / "whole", settings)

    def kill(done: int, total: int) -> None:
        if done >= 8 + 5 * 4:
            raise _KilledError

    with pytest.raises(_KilledError):
        run(tiny_model_dir, tmp_path / "killed", settings, progress=kill)
    newest = tmp_path / "killed" / "work" / "checkpoints" / "checkpoint-4"
    harm(newest)
    starts: list[int] = []
    run(
        tiny_model_dir,
        tmp_path / "killed",
        settings,
        progress=lambda done, total: starts.append(done),
    )
    assert starts[0] == 8 + 4 * 4, "must go on after step 3"
    assert ("checkpoint-4 was damaged" in caplog.text) == (harm is not _lose_seal)
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(expected[k], found[k]) for k in expected)


def test_damaged_references_start_the_training_anew(
    tiny_model_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(epochs=2, checkpoint_every=1)

    def kill(done: int, total: int) -> None:
        if done >= 8 + 8:
            raise _KilledError

    with pytest.raises(_KilledError):
        run(tiny_model_dir, tmp_path / "killed", settings, progress=kill)
    file = tmp_path / "killed" / "work" / REFERENCES
    data = bytearray(file.read_bytes())
    data[-3] ^= 64
    file.write_bytes(data)
    run(tiny_model_dir, tmp_path / "killed", settings)
    assert "references.safetensors is damaged" in caplog.text
    run(tiny_model_dir, tmp_path / "whole", settings)
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(expected[k], found[k]) for k in expected)


def test_changed_inputs_start_afresh(tiny_model_dir: Path, tmp_path: Path) -> None:
    def kill(done: int, total: int) -> None:
        if done >= 8 + 8:
            raise _KilledError

    with pytest.raises(_KilledError):
        run(tiny_model_dir, tmp_path, settings_of(epochs=2, checkpoint_every=1), progress=kill)
    other = settings_of({"beta": 0.3}, epochs=2, checkpoint_every=1)
    done: list[int] = []
    run(tiny_model_dir, tmp_path, other, progress=lambda d, t: done.append(d))
    assert min(done) <= 8, "the references are computed again"
    run(tiny_model_dir, tmp_path / "fresh", other)
    a, b = weights(tmp_path), weights(tmp_path / "fresh")
    assert all(torch.equal(a[k], b[k]) for k in a)
