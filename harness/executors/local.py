"""Stages side by side on one machine, each in one of several processes that share its devices out."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path

from groundwork.errors import UserError
from harness.config import RunConfig
from harness.executors.order import Order
from harness.executors.stage_needs import needs
from harness.stage import Stage
from harness.stage_runner import Outcome

END_S = 30.0
LOGS = ".workers"
"""Folder of the workers' logs in the run folder; one that is empty goes."""


class LocalWorkers:
    """See ``harness.executor.Executor``; ``say`` gets the workers' news.

    Where there are GPUs, one more worker takes stages that need none (a server judging pairs), beside those that
    do.

    Raises:
        UserError: more workers than GPUs, where there are GPUs.
    """

    def __init__(self, order: Order, workers: int, say: Callable[[str], None]) -> None:
        self.slots = workers
        self._say = say
        shares = shared_out(workers)
        self._workers = [_Worker(order, n, environment) for n, environment in enumerate(shares, 1)]
        self._config = RunConfig.model_validate_json(order.config)
        gpus = shares[0].get("CUDA_VISIBLE_DEVICES")
        self._gpus = len(gpus.split(",")) if gpus else 0
        # it sees the GPUs, so that ``auto`` means there what it means to the others, and uses none
        self._without = _Worker(order, workers + 1, {}) if self._gpus else None

    def room(self, stage: Stage) -> bool:
        """See ``Executor``."""
        return bool(self._free(stage))

    def _free(self, stage: Stage) -> list[_Worker]:
        """The workers that can take the stage now; the one that is there for such stages alone where it can."""
        spare = self._without
        if spare and spare.stage is None and not needs(stage, self._config, self._gpus)[1]:
            return [spare]
        return [worker for worker in self._workers if worker.stage is None]

    def submit(self, stage: Stage, wanted: str | None = None) -> None:
        """Give the stage to a free worker, to the one with its model loaded where that is free."""
        free, model = self._free(stage), _model_of(stage)
        worker = next((w for w in free if model is not None and w.model == model), None)
        worker = worker or min(free, key=lambda w: w.model is not None)
        worker.begin(stage, wanted, model)

    def wait(self, seconds: float) -> list[Outcome]:
        """See ``Executor``."""
        ended = []
        working = {w.connection: w for w in self._all() if w.connection is not None}
        for connection in wait(list(working), seconds):
            outcome = working[connection].hear(self._say)  # type: ignore[index]
            if outcome is not None and outcome.stage:
                ended.append(outcome)
        return ended

    def close(self) -> None:
        """See ``Executor``."""
        for worker in self._all():
            worker.ask_to_end()
        for worker in self._all():
            worker.end()

    def _all(self) -> list[_Worker]:
        return [*self._workers, *([self._without] if self._without else [])]


class _Worker:
    """One process, started with its first stage and again after it died."""

    def __init__(self, order: Order, number: int, environment: dict[str, str]) -> None:
        self._order = order
        self._environment = environment
        self._log = order.root / LOGS / f"worker-{number}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.connection: Connection = None  # type: ignore[assignment]
        self.stage: str | None = None
        self.model: str | None = None

    def begin(self, stage: Stage, wanted: str | None, model: str | None) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._died()
        if self._process is None:
            self._start()
        self.stage, self.model = stage.id, model
        self.connection.send((stage.id, wanted))

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self.connection = Connection(ours.detach())
        self._log.parent.mkdir(parents=True, exist_ok=True)
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        own = {"PYTHONPATH": path, "SSO_BENCH_WORKER_LOG": str(self._log)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.executors.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **self._environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        theirs.close()
        self.connection.send(self._order)

    def hear(self, say: Callable[[str], None]) -> Outcome | None:
        """The outcome of its stage, if that is what comes next; news are said."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            return self._died()
        if kind == "say":
            say(content)
            return None
        self.stage = None
        outcome: Outcome = content
        return outcome

    def _died(self) -> Outcome:
        """The failure of its stage; without a name where it had none."""
        stage = self.stage or ""
        code = self._process.wait() if self._process is not None else 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        self.connection.close()
        self.connection, self._process = None, None  # type: ignore[assignment]
        self.stage = self.model = None
        error = f"its worker was {how} (more in {self._log}); the same command resumes it"
        return Outcome(stage, "failed", error=error)

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.connection.close()
        self._process = None
        if not self._log.stat().st_size:
            self._log.unlink()
            if not any(self._log.parent.iterdir()):
                self._log.parent.rmdir()


def _model_of(stage: Stage) -> str | None:
    """The model that the stage loads into an engine."""
    source = stage.inputs.get("model") or stage.inputs.get("policy")
    return None if source is None else f"{source.stage}/{source.output}/{source.path}"


def shared_out(workers: int) -> list[dict[str, str]]:
    """The environment of each worker: its share of the visible GPUs, or of the cores for threads.

    Raises:
        UserError: more workers than GPUs, where there are GPUs.
    """
    import torch

    if not torch.cuda.is_available():
        threads = os.environ.get("OMP_NUM_THREADS") or max(1, (os.cpu_count() or 1) // workers)
        return [{"OMP_NUM_THREADS": str(threads)}] * workers
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = named.split(",") if named else [str(n) for n in range(torch.cuda.device_count())]
    if workers > len(devices):
        raise UserError(
            f"{workers} workers, but {len(devices)} GPUs are visible: --workers {len(devices)}"
        )
    share = len(devices) // workers
    parts = [devices[n * share : (n + 1) * share] for n in range(workers)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(part)} for part in parts]
