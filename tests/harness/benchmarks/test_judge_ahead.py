"""Judging answers while others are written: what is asked, and how it ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.benchmarks.judge_ahead import MOST, Judged, by_text, judged_ahead

CHATS = [[{"role": "user", "content": f"question {n}"}] for n in range(3 * MOST)]


def about(name: str, chat: Any, row: Any) -> Any:
    assert chat[-1]["content"] == name
    return SimpleNamespace(item_id=name, row=row)


NAMES = [chat[0]["content"] for chat in CHATS if chat[0]["content"] != "question 1"]
JUDGED = Judged("preferences", {name: name for name in NAMES}, about)


class Engine:
    """Answers each chat with ``a``; before the last answer it waits for something."""

    tokens = 7

    def __init__(self, before_the_last: Callable[[], Any]) -> None:
        self._before_the_last = before_the_last

    def render(self, chat: Any) -> str:
        return f"{chat[-1]['content']} <think>"

    def chat(self, prompts: Sequence[Any], params: Any, *, on_done: Any) -> list[str]:
        for index in range(len(prompts)):
            if index == len(prompts) - 1:
                self._before_the_last()
            on_done(index, SimpleNamespace(text="a"))
        return ["a"] * len(prompts)


@dataclass
class Server:
    """A judge that notes what it is asked; with an ``error`` it ends with that."""

    error: Exception | None = None
    patience: threading.Event | None = None
    batches: list[list[Any]] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    counted: bool = True

    def preferences(self, items: list[Any]) -> None:
        self.batches.append(items)
        self.asked.set()
        if self.patience is not None:
            self.patience.wait(30)
        if self.error is not None:
            raise self.error

    def ahead(self) -> Any:
        return self._uncounted()

    @contextlib.contextmanager
    def _uncounted(self) -> Iterator[None]:
        self.counted = False
        try:
            yield
        finally:
            self.counted = True


def generate(engine: Engine, judge: Any, told: Any = None) -> list[str]:
    with judged_ahead(JUDGED, judge, engine) as watched:  # type: ignore[arg-type]
        assert watched.tokens == 7
        return watched.chat(CHATS, None, on_done=told)  # type: ignore[return-value,arg-type]


def test_answers_are_judged_before_the_last_is_written() -> None:
    judge, told = Server(), []
    engine = Engine(lambda: judge.asked.wait(30))
    assert generate(engine, judge, lambda index, answer: told.append(index)) == ["a"] * len(CHATS)
    assert told == list(range(len(CHATS)))
    asked = [one for batch in judge.batches for one in batch]
    assert asked
    assert all(len(batch) <= MOST for batch in judge.batches)
    assert len({one.item_id for one in asked}) == len(asked)
    assert "question 1" not in {one.item_id for one in asked}
    assert asked[0].row == {"output": "a", "reasoning_opened": True}
    assert judge.counted


def test_a_judge_that_is_no_server_is_not_asked() -> None:
    for judge in (None, SimpleNamespace(), SimpleNamespace(ahead=lambda: None)):
        engine = Engine(lambda: None)
        with judged_ahead(JUDGED, judge, engine) as watched:  # type: ignore[arg-type]
            assert watched is engine


def test_what_asking_raised_comes_when_the_answers_are_written() -> None:
    judge, told = Server(UserError("the budget is spent")), []
    with pytest.raises(UserError, match="the budget is spent"):
        generate(Engine(lambda: judge.asked.wait(30)), judge, lambda *answer: told.append(answer))
    assert len(told) == len(CHATS)
    assert judge.counted


def test_an_interruption_does_not_wait_for_the_judge() -> None:
    judge = Server(patience=threading.Event())

    def interrupted() -> None:
        judge.asked.wait(30)
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        generate(Engine(interrupted), judge, lambda *answer: None)
    assert time.monotonic() - began < 20
    assert judge.patience is not None
    judge.patience.set()
    until = time.monotonic() + 20
    while not judge.counted:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert len(judge.batches) == 1  # nothing more was begun


def test_items_with_one_text_are_left_to_scoring() -> None:
    assert by_text(["a1", "b1", "a2", "a3"], lambda name: name[0]) == {"b": "b1"}
