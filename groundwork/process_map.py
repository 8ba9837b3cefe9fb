"""One function over many items, in one process per core."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context
from typing import Any, TypeVar

from groundwork.errors import UserError

T = TypeVar("T")
R = TypeVar("R")
BATCH = 32
"""Items that a process gets at a time."""
AHEAD = 3
"""Batches per process that are under way at most, so that memory does not grow with the items."""

_work: Any = None
"""What this process, one of a pool, does with an item."""


def process_map(
    work: Callable[[T], R], items: Sequence[T], *, least: int, processes: int | None = None
) -> Iterator[R]:
    """``work`` of every item, in order; in this process where there are fewer than ``least`` items or one core.

    ``work``, items and results are pickled; ``work`` once per process. Items are taken as they are needed.

    Raises:
        UserError: a process was killed.
    """
    count = processes or len(os.sched_getaffinity(0))
    if len(items) < least or count == 1 or current_process().daemon:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(count, get_context("spawn"), _begin, (work, os.getpid()))
    waiting: deque[Future[list[R]]] = deque()
    try:
        for begin in range(0, len(items), BATCH):
            waiting.append(pool.submit(_batch, list(items[begin : begin + BATCH])))
            if len(waiting) > AHEAD * count:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            f"one of {count} processes that share the work was killed (out of memory?)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(work: Any, parent: int) -> None:
    """Keep the work; end with the parent, and leave interruptions to it."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _batch(items: list[Any]) -> list[Any]:
    return [_work(item) for item in items]
