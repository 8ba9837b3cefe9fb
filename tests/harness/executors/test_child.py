"""The worker process: takes an order and stages over a socket, ends with its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from harness.executors.child import serve
from tests.harness.executors.test_order import order_of

PARENT = """
import socket, subprocess, sys, time
ours, theirs = socket.socketpair()
child = subprocess.Popen([sys.executable, "-m", "harness.executors.child", str(theirs.fileno())],
                         pass_fds=[theirs.fileno()])
print(child.pid, flush=True)
time.sleep(60)
"""


class Script:
    """A connection that hands out fixed messages and keeps what is sent."""

    def __init__(self, *messages: object) -> None:
        self.messages = list(messages)
        self.sent: list[tuple[str, object]] = []

    def recv(self) -> object:
        if not self.messages:
            raise EOFError
        return self.messages.pop(0)

    def send(self, message: tuple[str, object]) -> None:
        self.sent.append(message)


def test_stages_are_served_until_the_other_side_is_gone(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = Script(order_of(tiny_model_dir, tmp_path / "run"), ("queries", None))
    with pytest.raises(EOFError):
        serve(script)  # type: ignore[arg-type]
    (news, said), (kind, outcome) = script.sent
    assert (news, said) == ("say", "[1/4] queries: started")
    assert (kind, outcome.state) == ("ended", "done")  # type: ignore[attr-defined]


def test_a_plan_that_cannot_be_made_fails_each_stage_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = Script(order_of(tmp_path / "absent", tmp_path / "run"), ("queries", None))
    with pytest.raises(EOFError):
        serve(script)  # type: ignore[arg-type]
    ((kind, outcome),) = script.sent
    assert (kind, outcome.state) == ("ended", "failed")  # type: ignore[attr-defined]
    assert "absent" in outcome.error  # type: ignore[attr-defined]


def test_the_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()  # returns once the child, which shares the pipe, is gone too
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_closed_socket_ends_the_process() -> None:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.executors.child", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    Connection(ours.detach()).close()
    assert process.wait(60) == 0
