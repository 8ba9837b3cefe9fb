"""The run folder: atomic, locked, and honest about what is done."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundwork.checksums import describe
from groundwork.errors import UserError
from groundwork.files import digest, write_atomic, write_json
from harness.run_folder import SCHEMA, RunFolder, StageFolder, StageRecord


def make_record(**changes: object) -> StageRecord:
    values = {"stage": "a", "kind": "eval", "fingerprint": "f", "inputs": {}, "settings": {}}
    return StageRecord(**{**values, **changes})  # type: ignore[arg-type]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.json"
    write_atomic(file, "old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(file, "new")
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_digest_does_not_depend_on_key_order() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_record_round_trip_and_torn_record(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path, "s")
    assert folder.record() is None
    folder.write(make_record(counts={"n": 3}))
    assert folder.record() == make_record(counts={"n": 3})
    (folder.path / "stage.json").write_text('{"stage": "a"')
    assert folder.record() is None


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path, "s")
    folder.write(make_record(schema=SCHEMA + 1))
    with pytest.raises(UserError, match="upgrade sso-bench"):
        folder.record()


def test_outputs_and_missing(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path, "s")
    (folder.path / "model").mkdir(parents=True)
    (folder.path / "model" / "w.bin").write_bytes(b"1234")
    (folder.path / "generations.jsonl").write_text("journal")
    record = make_record(outputs=folder.outputs(ignore=["generations.jsonl"]))
    assert list(record.outputs) == ["model/w.bin"]
    folder.write(record)
    assert folder.damage(record) == ""
    (folder.path / "model" / "w.bin").write_bytes(b"12345")
    assert "another size" in folder.damage(record)
    folder.prune("model")
    pruned = folder.record()
    assert pruned is not None
    assert pruned.pruned == ["model"]
    assert folder.damage(pruned) == ""
    assert pruned.output_digest("model") == record.output_digest("model")
    assert not (folder.path / "model").exists()


def test_output_digest_of_a_part(tmp_path: Path) -> None:
    record = make_record(
        outputs={"a/x": {"sha256": "1"}, "a/y": {"sha256": "2"}, "ab": {"sha256": "3"}}
    )
    changed = make_record(
        outputs={"a/x": {"sha256": "1"}, "a/y": {"sha256": "2"}, "ab": {"sha256": "4"}}
    )
    assert record.output_digest("a") == changed.output_digest("a")
    assert record.output_digest() != changed.output_digest()


def test_foreign_folders_are_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.check_owner({"model": "a"})
    run.root.mkdir()
    (run.root / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"holds other files \(thesis.tex\)"):
        run.check_owner({"model": "a"})
    write_json(run.root / "run.json", {"schema": 1, "config": {"model": "a", "seeds": [0]}})
    run.check_owner({"model": "a", "seeds": (0,)})
    with pytest.raises(UserError, match="its model is 'a', yours 'b'"):
        run.check_owner({"model": "b"})
    write_json(run.root / "run.json", {"schema": SCHEMA + 1, "config": {}})
    with pytest.raises(UserError, match="upgrade"):
        run.check_owner({"model": "a"})
    (run.root / "run.json").write_text("[1]")
    with pytest.raises(UserError, match="no run description"):
        run.check_owner({"model": "a"})


def _hold(root: str, ready: str) -> None:
    with RunFolder(Path(root)).lock():
        Path(ready).touch()
        time.sleep(60)


def test_one_writer_and_a_killed_one_frees_the_lock(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    context = multiprocessing.get_context("spawn")
    holder = context.Process(target=_hold, args=(str(tmp_path / "run"), str(ready)))
    holder.start()
    try:
        while not ready.exists():
            time.sleep(0.01)
        with pytest.raises(UserError, match=f"in use by process {holder.pid}"):
            RunFolder(tmp_path / "run").lock().__enter__()
    finally:
        os.kill(int(holder.pid or 0), signal.SIGKILL)
        holder.join()
    with RunFolder(tmp_path / "run").lock():
        assert str(os.getpid()) in (tmp_path / "run" / "run.lock").read_text()


def test_a_kill_during_writes_never_leaves_a_torn_file(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.run_folder import write_json\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1; write_json(Path(sys.argv[1]), {'n': n, 'pad': 'x' * 20000})\n"
    )
    file = tmp_path / "x.json"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(file)])
        while not file.exists():
            time.sleep(0.01)
        time.sleep(0.05)
        process.kill()
        process.wait()
        assert json.loads(file.read_text())["n"] >= 1


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '"x"', "\x00" * 40, '{"stage": "a"}', '{"schema": "9"}', "[" * 5000],
)
def test_any_damage_of_a_record_is_named_and_ends_nothing(tmp_path: Path, text: str) -> None:
    folder = StageFolder(tmp_path, "s")
    assert folder.record_damage() == ""
    folder.write(make_record())
    (folder.path / "stage.json").write_text(text)
    assert folder.record() is None
    assert folder.record_damage() == "stage.json is damaged"
    (folder.path / "stage.json").write_bytes(b"\xff\xfe")
    assert folder.record() is None
    (folder.path / "stage.json").unlink()
    (folder.path / "out").write_text("x")
    assert folder.record_damage() == "stage.json is missing"


def test_a_changed_figure_in_a_record_is_damage(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path, "s")
    folder.write(make_record(counts={"n": 3}))
    file = folder.path / "stage.json"
    file.write_text(file.read_text().replace('"n": 3', '"n": 4'))
    assert folder.record() is None


def test_a_new_start_keeps_the_journal(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path, "s")
    folder.write(make_record(status="done"))
    for name in ("out", "generations.jsonl"):
        (folder.path / name).write_text("x")
    folder.clear(["generations.jsonl"])
    assert [p.name for p in folder.path.iterdir()] == ["generations.jsonl"]
    assert (folder.aside / "out").exists()
    (folder.path / "rest").write_text("x")
    folder.clear(["generations.jsonl"])
    assert [p.name for p in folder.path.iterdir()] == ["generations.jsonl"]


def test_a_damaged_description_is_taken_from_its_copy(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.lock():
        run.describe({"id": "7", "config": {"model": "a"}})
        for damage in ("", "{", '{"id": "8", "config": {"model": "b"}, "checksum": "x"}', None):
            file = run.root / "run.json"
            file.unlink() if damage is None else file.write_text(damage)
            assert "taken from its copy" in run.description_damage()
            assert run.run_id() == "7"
            run.check_owner({"model": "a"})
        run.stage("base").write(make_record())
        (run.root / ".run.json").write_text("x")
        assert "made anew" in run.description_damage()
        run.check_owner({"model": "a"})
        assert run.description() is None


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "a" / "model.partial").mkdir(parents=True)
    (tmp_path / "a" / "model.partial" / "w").write_text("x")
    (tmp_path / "a" / ".scores.json.k3j.tmp").write_text("x")
    (tmp_path / "a" / "scores.json").write_text("x")
    assert run.clean() == 2
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["scores.json"]


def test_a_damaged_curve_is_set_aside(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path, "s")
    (folder.path / "work").mkdir(parents=True)
    file = folder.path / "work" / "curve.jsonl"
    file.write_text("{}\n")
    record = make_record(shown={"work/curve.jsonl": describe(file)})
    assert folder.drop_damaged(record) == []
    file.write_text("[]\n")
    assert folder.drop_damaged(record) == ["work/curve.jsonl"]
    assert not file.exists()
    assert folder.record() == record
