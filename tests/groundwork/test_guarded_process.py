"""A guarded server ends with its parent, workers included, however the parent ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundwork.guarded_process import GuardedProcess

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
SERVER = """
import os, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import signal, time;"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
open(sys.argv[1], "w").write(f"{os.getpid()} {worker.pid}\\n")
time.sleep(600)
"""
PARENT = """
import os, sys, time
from pathlib import Path
from groundwork.guarded_process import GuardedProcess
folder = Path(sys.argv[1])
command = [sys.executable, "-c", sys.argv[2], str(folder / "pids")]
process = GuardedProcess(command, folder / "log", dict(os.environ))
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether a process is at work (a zombie is not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pids_in(path: Path) -> list[int]:
    deadline = time.monotonic() + 60
    while not (path.is_file() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(pid) for pid in path.read_text().split()]


def wait_until_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 60
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_close_ends_the_command_and_its_workers(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER, str(tmp_path / "pids")]
    process = GuardedProcess(command, tmp_path / "log", dict(os.environ))
    pids = pids_in(tmp_path / "pids")
    assert process.running()
    process.close()
    assert not process.running()
    assert wait_until_gone(pids)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_killed_parent(how: signal.Signals, tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), SERVER],
        env={**os.environ, "PYTHONPATH": root},
    )
    pids = pids_in(tmp_path / "pids")
    parent.send_signal(how)
    parent.wait()
    assert wait_until_gone(pids)


def test_a_command_that_ends_by_itself_is_seen(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('broken'); raise SystemExit(3)"]
    process = GuardedProcess(command, tmp_path / "log", dict(os.environ))
    deadline = time.monotonic() + 60
    while process.running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.running()
    assert (tmp_path / "log").read_text() == "broken\n"
