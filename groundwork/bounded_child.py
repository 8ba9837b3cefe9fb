"""Work on input that is not trusted, in a forked child bounded in CPU time, memory and wall time."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from groundwork.deferred_signals import signals_deferred

WALL_FACTOR = 10
"""Wall time over CPU time after which a child that gets no processor is given up."""


def in_bounded_child(work: Callable[[], str], *, cpu_seconds: int, memory: int) -> str | None:
    """What ``work`` returns in a child; ``None`` where the child was killed or took too long.

    Args:
        work: may print nothing; an exception's own text comes back as its result.
        cpu_seconds: CPU time of the child.
        memory: bytes that it may take beyond what this process has.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = 0
    try:
        with signals_deferred():
            child = os.fork()
            if child == 0:
                os.close(reader)
                _run(work, writer, cpu_seconds, memory)
            os.close(writer)
        return _answer(reader, time.monotonic() + WALL_FACTOR * cpu_seconds)
    finally:
        os.close(reader)
        if child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _run(work: Callable[[], str], writer: int, cpu_seconds: int, memory: int) -> None:
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        with contextlib.suppress(OSError, ValueError):
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + memory
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        try:
            text = work()
        except Exception as error:  # whatever a library raises on such input
            text = f"{type(error).__name__}: {error}"
        os.write(writer, text[:4000].encode("utf-8", "replace") + b"\n")
    finally:
        os._exit(0)


def _answer(reader: int, deadline: float) -> str | None:
    data = b""
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([reader], [], [], min(left, 1.0))
        if not ready:
            continue
        part = os.read(reader, 1 << 16)
        if not part:
            break
        data += part
    return data.decode("utf-8", "replace").rstrip("\n") if data.endswith(b"\n") else None
