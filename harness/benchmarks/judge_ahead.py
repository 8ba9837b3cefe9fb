"""Has a server judge answers while others are still being written; its verdicts wait in the store for scoring.

What is asked is what scoring asks, built by the same functions, so that nothing is paid twice.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from groundwork.reasoning import opens_reasoning

if TYPE_CHECKING:
    from harness.engines import ResumableEngine
    from harness.engines.base import Completion, Message, Prompt
    from judges import Judge

T = TypeVar("T")
MOST = 64
"""Answers that are judged at a time: when the last answer is written, scoring waits for no more than these."""


@dataclass(frozen=True)
class Judged:
    """How a benchmark has its answers judged: a method of ``Judge``, the items by the text that their chats begin
    with, and what is asked about an item's answer to a chat (``row``: the fields of ``outputs.jsonl`` that say what
    the answer is)."""

    method: Literal["preferences", "ratings", "graded"]
    items: Mapping[str, Any]
    about: Callable[[Any, Sequence[Message], Mapping[str, Any]], Any]


def by_text(items: Iterable[T], text: Callable[[T], str]) -> dict[str, T]:
    """The items whose text no other has."""
    found: dict[str, T] = {}
    twice = set()
    for item in items:
        if text(item) in found:
            twice.add(text(item))
        found[text(item)] = item
    return {key: item for key, item in found.items() if key not in twice}


@contextlib.contextmanager
def judged_ahead(
    judged: Judged, judge: Judge | None, engine: ResumableEngine
) -> Iterator[ResumableEngine]:
    """The engine, whose finished answers a server's judge is asked about meanwhile; any other judge is not.

    Raises:
        Exception: at the end, what asking raised: scoring would end in the same.
    """
    ahead = getattr(judge, "ahead", None)
    if ahead is None or (asked := ahead()) is None:
        yield engine
        return
    work = _Work(getattr(judge, judged.method), asked)
    try:
        yield _Watched(engine, judged, work.put)  # type: ignore[misc]
    except BaseException:
        work.end(wait=False)
        raise
    work.end(wait=True)


class _Watched:
    """An engine that hands on each chat with its answer."""

    def __init__(self, engine: ResumableEngine, judged: Judged, put: Callable[[Any], None]) -> None:
        self._engine, self._judged, self._put = engine, judged, put

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def chat(
        self,
        prompts: Sequence[Prompt],
        *args: Any,
        on_done: Callable[[int, Completion], None] | None = None,
        **options: Any,
    ) -> Sequence[Completion]:
        """As ``ResumableEngine.chat``."""

        def done(index: int, completion: Completion) -> None:
            if on_done is not None:
                on_done(index, completion)
            prompt = prompts[index]
            if isinstance(prompt, str) or prompt[0]["content"] not in self._judged.items:
                return
            opened = opens_reasoning(self._engine.render(prompt))
            row = {"output": completion.text, "reasoning_opened": opened}
            item = self._judged.items[prompt[0]["content"]]
            self._put(self._judged.about(item, prompt, row))

        return self._engine.chat(prompts, *args, on_done=done, **options)


class _Work:
    """A thread that asks about what is put, some at a time, within ``asked``."""

    def __init__(
        self,
        ask: Callable[[list[Any]], Any],
        asked: contextlib.AbstractContextManager[Any],
    ) -> None:
        self._ask, self._asked = ask, asked
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, item: Any) -> None:
        """Ask about this some time."""
        self._waiting.put(item)

    def end(self, *, wait: bool) -> None:
        """Ask about nothing more; with ``wait`` once what is under way has its answers."""
        self._ended = True
        self._waiting.put(None)
        while wait and self._thread.is_alive():
            self._thread.join(0.5)  # in pieces: signals are handled between them
        if wait and self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._asked:
                while batch := self._next():
                    self._ask(batch)
        except BaseException as error:  # handed to the caller's thread
            self._error = error

    def _next(self) -> list[Any]:
        found = {}
        item = self._waiting.get()
        while item is not None and not self._ended:
            found[item.item_id] = item
            if len(found) == MOST or self._waiting.empty():
                return list(found.values())
            item = self._waiting.get()
        return []
