"""Ask an OpenAI-compatible server, many requests at once, each one until it is answered.

A request is sent when the store has no answer to it, no other process is asking it, the limiter
has a slot and the budget covers it. Its reply is committed to the store in the moment it arrives,
before anything else is done with it: whatever happens to the process later, it is not sent again.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from judges.client.connection import Connection
from judges.client.limiter import AdaptiveLimiter
from judges.client.queue import Dispatch
from judges.client.records import Answer, ClientSettings, Failure, HopelessError, Tally
from judges.client.retry import Sender
from judges.credentials import scrub
from judges.prices import Budget
from judges.request import JudgeRequest
from judges.store import VerdictStore

__all__ = ["Answer", "Client", "ClientSettings", "Failure", "HopelessError", "Tally", "run_async"]

YOUNG = 10_000
"""New objects between two collections: more than fifty requests in flight are made of."""


class Client:
    """A server, its key, and the state that carries over between calls (limiter, budget, tally).

    Args:
        model: the model's name as the server knows it.
        base_url: the server's address, ``None`` for OpenAI's own.
        api_key: never written anywhere.
        judge: the name under which replies are kept (model, and server where it is not OpenAI's).
        store, budget, concurrency, settings: see their classes.
        scope: label under which the spend is booked, so that a resumed run knows it.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None,
        api_key: str,
        judge: str,
        store: VerdictStore,
        budget: Budget,
        concurrency: int = 64,
        settings: ClientSettings | None = None,
        scope: str = "",
    ) -> None:
        self.model = model
        self.base_url = base_url
        self.judge = judge
        self.store = store
        self.budget = budget
        self.settings = settings or ClientSettings()
        self.scope = scope
        self.tally = Tally()
        self.proven = False
        """Whether the server has answered anything: an error is then one request's own."""
        self.concurrency = concurrency
        self.limiter = AdaptiveLimiter(concurrency)
        self.api_key = api_key

    def __repr__(self) -> str:
        return f"Client({self.judge!r})"

    async def ask(self, requests: Iterable[JudgeRequest]) -> AsyncIterator[Answer]:
        """Answers in the order they arrive; memory holds only what is under way.

        Raises:
            JudgeError: the server will answer nothing (wrong key, unknown model, refused
                connection throughout), or the budget is used up. Replies so far are in the store.
        """
        async with self._open() as connection:
            run = Dispatch(self, Sender(self, connection))
            with _short_collections():
                try:
                    async for answer in run.answers(iter(enumerate(requests))):
                        yield answer
                finally:
                    await run.stop()

    def _open(self) -> Connection:
        # The limiter's waiters belong to one event loop; its numbers are carried over.
        limiter = AdaptiveLimiter(self.concurrency)
        limiter.window, limiter.refused_at = self.limiter.window, self.limiter.refused_at
        self.limiter = limiter
        return Connection(
            api_key=self.api_key, base_url=self.base_url, timeout_s=self.settings.timeout_s
        )

    def scrub(self, text: str) -> str:
        """One line without the key."""
        return " ".join(scrub(text, self.api_key).split())[:500]


@contextmanager
def _short_collections() -> Iterator[None]:
    """Let the garbage collector look at new objects only, and not at those in flight each time.

    Nothing is sent while it works: a full collection, which walks through everything that was ever
    imported, takes a good part of a round trip.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNG, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def run_async(work: Callable[[], Any]) -> Any:
    """Run a coroutine function to its end, also where an event loop is already running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()
