"""What runs on a Ray cluster: a stage as a task, and the actor between the tasks and the driver."""

from __future__ import annotations

import _thread
import contextlib
import os
import socket
import sys
import threading
import traceback
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from harness.config import RunConfig
from harness.executors.order import Order, OrderedStages, Told
from harness.stage_runner import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

RANKS = "{python} -m sso.launch.ray_ranks {{nodes}} {{devices}} {{program}}"
LOOK_S = 0.5
"""Seconds between two looks of a stage at whether it is to stop."""


class News:
    """What tasks say, until the driver takes it, and what the driver says to them: to stop; an actor."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._at_work = Counter[str]()
        self._stopping = False

    def say(self, line: str) -> None:
        """Keep a line for the driver."""
        self._lines.append(line)

    def take(self) -> list[str]:
        """The lines since the last call."""
        lines, self._lines = self._lines, []
        return lines

    def begin(self, stage: str) -> bool:
        """Whether the stage may begin; it is at work until it says that it ended."""
        if not self._stopping:
            self._at_work[stage] += 1
        return not self._stopping

    def end(self, stage: str) -> None:
        """The stage is no longer at work."""
        self._at_work[stage] -= 1

    def stop(self) -> int:
        """Let no stage begin and have those at work end; how many of them there are."""
        self._stopping = True
        return self._at_work.total()

    def stopping(self) -> bool:
        """Whether stages are to end."""
        return self._stopping


_made: dict[Order, OrderedStages] = {}


def run_stage(order: Order, stage: str, wanted: str | None, news: Any) -> Outcome:
    """The task: one stage of the order in a worker process of Ray."""
    import ray

    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    try:
        with ends_when_told(ray, news, stage):
            if order not in _made:
                own = replace(order, config=with_ranks(order.config))
                _made[order] = OrderedStages(own, Told(lambda line: news.say.remote(line)))
            return _made[order].attempt(stage, wanted, _traceback)
    except UserError as error:
        return Outcome(stage, "failed", error=str(error))
    except KeyboardInterrupt:
        return Outcome(stage, "failed", error="stopped")
    finally:
        if order in _made:
            _made[order].close()  # the devices go to the next task, which may be another's


@contextlib.contextmanager
def ends_when_told(ray: Any, news: Any, stage: str) -> Iterator[None]:
    """``KeyboardInterrupt`` in this, the main thread, once the driver says to stop; at once where it has.

    Where the actor is lost with its node, the stage goes on.
    """
    with contextlib.suppress(ray.exceptions.RayError):
        if not ray.get(news.begin.remote(stage)):
            raise KeyboardInterrupt
    ended, guard = threading.Event(), threading.Lock()

    def look() -> None:
        while not ended.wait(LOOK_S):
            with contextlib.suppress(ray.exceptions.RayError):
                if ray.get(news.stopping.remote(), timeout=10):
                    with guard:
                        if not ended.is_set():
                            _thread.interrupt_main()
                    return

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        with guard:
            ended.set()
        news.end.remote(stage)


def _traceback() -> str:
    traceback.print_exc()
    return f"the log of Ray's worker {os.getpid()} on {socket.gethostname()}"


def with_ranks(config: str) -> str:
    """The configuration with the command that starts a training on several nodes, unless it has one."""
    read = RunConfig.model_validate_json(config)
    if read.launch.nodes == 1 or read.launch.command:
        return config
    launch = read.launch.model_copy(update={"command": RANKS.format(python=sys.executable)})
    return read.model_copy(update={"launch": launch}).model_dump_json()
