"""A signal in the middle of a fork is handled after it: what a handler raises in a fork's hook would be dropped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from groundwork.bounded_child import in_bounded_child
from groundwork.deferred_signals import signals_deferred
from harness.benchmarks.bounded_grading import _Child

SENT: list[int] = []
"""Signals that the next fork's hook sends."""


def _send() -> None:
    while SENT:
        os.kill(os.getpid(), SENT.pop())


os.register_at_fork(before=_send)


class Stop(BaseException):
    """What the handlers raise."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise Stop(number)

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
    yield
    SENT.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_waits_for_the_end_of_the_with(number: int) -> None:
    reached: list[bool] = []

    def fork() -> None:
        with signals_deferred():
            os.kill(os.getpid(), number)
            reached.append(True)

    with pytest.raises(Stop):
        fork()
    assert reached
    with pytest.raises(Stop):
        os.kill(os.getpid(), number)


def test_one_that_comes_in_a_forks_hook_is_not_lost() -> None:
    SENT.append(signal.SIGTERM)
    with pytest.raises(Stop):
        in_bounded_child(lambda: "text", cpu_seconds=5, memory=1 << 30)
    assert in_bounded_child(lambda: "text", cpu_seconds=5, memory=1 << 30) == "text"
    SENT.append(signal.SIGINT)
    with pytest.raises(Stop):
        _Child(lambda answers: [], [])


def test_other_threads_fork_as_ever() -> None:
    found: list[str | None] = []

    def work() -> None:
        with signals_deferred():
            found.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["done"]
