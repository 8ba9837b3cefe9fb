"""A server process that ends with its parent, also when the parent is killed with ``kill -9``.

Run as a program between the two: it starts the command in a process group of its own, watches for
the parent's death, and then ends the whole group. A server such as vLLM has workers of its own that
a signal to its main process would leave behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LOOK_S = 0.25
GRACE_S = 20.0
"""How long the group may take to end after SIGTERM."""


class GuardedProcess:
    """A command with its output in ``log``, ended by ``close`` or by this process's own end."""

    def __init__(self, command: Sequence[str], log: Path, env: dict[str, str]) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            self._guard = subprocess.Popen(
                [sys.executable, __file__, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,  # Ctrl-C goes to the parent alone, which then closes this
            )

    def running(self) -> bool:
        """Whether the command is still at work."""
        return self._guard.poll() is None

    def close(self) -> None:
        """End the command and everything that it started."""
        if self.running():
            self._guard.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._guard.wait(GRACE_S + 10)


def guard(parent: int, command: Sequence[str]) -> int:
    """Run the command until it ends, a SIGTERM comes, or the parent is gone; its exit code."""
    asked_to_end = False

    def end(*_: object) -> None:
        nonlocal asked_to_end
        asked_to_end = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    child = subprocess.Popen(command, start_new_session=True)
    while child.poll() is None and not asked_to_end and os.getppid() == parent:
        time.sleep(LOOK_S)
    _end_group(child)
    return child.returncode or 0


def _end_group(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)
    with suppress(ProcessLookupError):  # workers that outlive their main process
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), sys.argv[2:]))
