"""Grading in worker processes that can be killed, for graders that may never come back.

Math-Verify and sympy bound themselves by alarms, which fail in threads and inside C code. Here each
worker is a process that answers one JSON line with one JSON line; when an answer takes too much CPU
time the process is killed, the item counted as timed out, and a new process started. CPU time, not
wall time: on a loaded machine the same answers get the same verdicts.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import resource
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

START_SECONDS = 120.0
"""Time for a worker to import its grader."""
PATIENCE = 30
"""Wall time over CPU time after which a process that gets no processor is given up."""
POLL_SECONDS = 0.25
MEMORY = 8 << 30
"""Address space of a grader; beyond it the item's grading fails, and nothing else."""
READY = b"ready"
BOUNDED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""A grader that bounds its own memory first: code between fork and exec is not safe beside other threads."""
ANSWERS_OF_ONE = 10_000
"""Answers after which a process is not kept for later: what its libraries have stored is freed."""
FEW = 16
"""Tasks below which one process is enough: another takes longer to start than they take."""


def bound_memory() -> None:
    """Bound this process's address space."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHON",
    "NLTK_DATA",
)
"""How the names of the variables begin that a grader gets: its folders and nothing else, no keys."""


def grader_environment() -> dict[str, str]:
    """The environment of a grader that starts now."""
    found = {name: text for name, text in os.environ.items() if name.startswith(PASSED_ON)}
    return {**found, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Worker:
    """One grader process: a script that prints ``ready`` and then answers line by line."""

    def __init__(self, script: Path) -> None:
        self.script, self.environment = script, grader_environment()
        self.answered = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def ask(self, task: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The worker's answer, or ``{"error": ...}`` when it takes more CPU seconds or dies."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            used = self._cpu_seconds()
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
            line = self._line(seconds, used)
            late = line is None or self._cpu_seconds() - used > seconds
        except (BrokenPipeError, EOFError, psutil.NoSuchProcess):
            self.stop()
            return {"error": "the grader died"}
        if line is None or late:
            self.stop()
            return {"error": f"grading took more than {seconds:g} s of CPU time"}
        answer: dict[str, Any] = json.loads(line)
        self.answered += 1
        return answer

    def lives(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Kill the process; the next ``ask`` starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        self._buffer = b""
        self.answered = 0

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", BOUNDED, str(self.script), str(MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.environment,
        )
        try:
            started = self._line(START_SECONDS, 0.0) == READY
        except (EOFError, psutil.NoSuchProcess):
            started = False
        if not started:
            self.stop()
            raise RuntimeError(f"the grader {self.script.name} does not start")

    def _cpu_seconds(self) -> float:
        assert self._process is not None
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def _line(self, seconds: float, used: float) -> bytes | None:
        """The next line, ``None`` when the process has spent ``seconds`` of CPU time since it had
        ``used``, or sleeps for ``PATIENCE`` times as long. Raises EOFError at the end."""
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE * seconds
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], min(seconds, POLL_SECONDS))
            if not ready:
                if self._cpu_seconds() - used > seconds or time.monotonic() > deadline:
                    return None
                continue
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.strip()


class _Idle:
    """Grader processes between two calls: importing a grader takes seconds. Those of another process (this
    one is its fork) are not this one's."""

    def __init__(self) -> None:
        self._workers: list[Worker] = []
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def take(self, script: Path) -> Worker:
        """A running process of this script and the same environment, or a new worker."""
        fresh = Worker(script)
        with self._lock:
            if self._owner != os.getpid():
                self._workers, self._owner = [], os.getpid()
            fitting = [
                worker
                for worker in self._workers
                if (worker.script, worker.environment) == (script, fresh.environment)
            ]
            for worker in fitting:
                self._workers.remove(worker)
                if worker.lives():
                    return worker
                worker.stop()
        return fresh

    def give_back(self, worker: Worker) -> None:
        """Keep a worker that can go on."""
        if not 0 < worker.answered < ANSWERS_OF_ONE:
            worker.stop()
            return
        with self._lock:
            self._workers.append(worker)

    def stop(self) -> None:
        """Kill all of them."""
        with self._lock:
            if self._owner == os.getpid():
                for worker in self._workers:
                    worker.stop()
            self._workers = []


_IDLE = _Idle()
atexit.register(_IDLE.stop)


def grade_all(
    script: Path, tasks: Sequence[Mapping[str, Any]], *, seconds: float, workers: int | None = None
) -> list[dict[str, Any]]:
    """Answers of the grader ``script`` in task order; equal tasks are graded once.

    ``seconds`` of CPU time bound one task; ``workers`` defaults to the machine's cores, two at least, and
    one for a few tasks. Processes stay for the next call, until this one ends.
    """
    distinct: dict[str, list[int]] = {}
    for number, task in enumerate(tasks):
        distinct.setdefault(json.dumps(task, sort_keys=True), []).append(number)
    waiting: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
    for numbers in distinct.values():
        waiting.put(numbers)
    results: list[dict[str, Any]] = [{} for _ in tasks]
    failures: list[Exception] = []

    def work() -> None:
        worker = _IDLE.take(script)
        try:
            while not failures:
                numbers = waiting.get_nowait()
                answer = worker.ask(tasks[numbers[0]], seconds)
                for number in numbers:
                    results[number] = answer
        except queue.Empty:
            pass
        except Exception as error:  # handed to the caller's thread
            failures.append(error)
            worker.stop()
        _IDLE.give_back(worker)

    most = 1 if len(distinct) < FEW else max(2, os.cpu_count() or 2)
    count = min(workers or most, len(distinct))
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
