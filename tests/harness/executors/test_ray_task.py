"""Stages as tasks of Ray: their news, and how they are told to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from harness.executors.ray_task import News, ends_when_told


class Remote:
    """A handle of an actor that answers in this process."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self._actor, name))


RAY = SimpleNamespace(
    get=lambda answer, timeout=None: answer, exceptions=SimpleNamespace(RayError=OSError)
)


def test_news_are_taken_once() -> None:
    news = News()
    news.say("a")
    assert (news.take(), news.take()) == (["a"], [])


@pytest.fixture
def as_in_a_worker() -> Iterator[None]:
    """Python's own answer to SIGINT, which a command that ran here before has replaced."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def work(news: News) -> None:
    """A stage that is told to stop in its first second."""
    with ends_when_told(RAY, Remote(news), "s"):
        assert news.stop() == 1
        time.sleep(20)


def test_a_stage_at_work_is_interrupted_and_none_begins_after(as_in_a_worker: None) -> None:
    news = News()
    with pytest.raises(KeyboardInterrupt):
        work(news)
    assert news.stop() == 0
    with pytest.raises(KeyboardInterrupt), ends_when_told(RAY, Remote(news), "t"):
        pytest.fail("it began")
    assert news.stop() == 0


def test_a_stage_that_ended_is_not_interrupted() -> None:
    news = News()
    with ends_when_told(RAY, Remote(news), "s"):
        pass
    assert news.stop() == 0
    time.sleep(1.2)  # two looks


def test_a_stage_goes_on_where_the_actor_is_lost() -> None:
    def lost(answer: Any, timeout: float | None = None) -> Any:
        raise OSError("the actor died")

    ray = SimpleNamespace(get=lost, exceptions=RAY.exceptions)
    with ends_when_told(ray, Remote(News()), "s"):
        time.sleep(0.6)  # a look
        went_on = True
    assert went_on
