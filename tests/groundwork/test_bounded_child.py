"""Work in a child: its result, and bounds in time and memory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from groundwork.bounded_child import in_bounded_child


def fail() -> str:
    raise KeyError("no\nsuch")


def loop() -> str:
    while True:
        pass


def hoard() -> str:
    return str(len("x" * (1 << 34)))


def die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda: "ok", "ok"),
        (lambda: "half \ud800", "half ?"),
        (fail, "KeyError: 'no\\nsuch'"),
        (loop, None),
        (hoard, "MemoryError: "),
        (die, None),
        (lambda: str(time.sleep(0)), "None"),
    ],
)
def test_result_or_nothing(work: Callable[[], str], said: str | None) -> None:
    assert in_bounded_child(work, cpu_seconds=1, memory=1 << 30) == said


def test_the_parent_goes_on_as_it_was() -> None:
    before = os.getpid()
    in_bounded_child(lambda: "x", cpu_seconds=1, memory=1 << 30)
    assert os.getpid() == before
