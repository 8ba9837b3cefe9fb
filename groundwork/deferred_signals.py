"""Signals that wait while this process forks.

Around a fork Python calls functions of its own (``os.register_at_fork``: ``logging`` takes its lock and gives it back).
What a signal's handler raises in one of them is dropped: the signal is lost, and the lock may stay taken for good.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """SIGINT and SIGTERM are handled at the end of the ``with``. In a thread other than the main one, where no handler
    runs, nothing changes. A forked child that goes on inside it sets handlers of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda found, frame: came.append(found))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for found in came[:1]:
            signal.raise_signal(found)
