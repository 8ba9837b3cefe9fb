"""Ask an OpenAI-compatible server, many requests at once, each one until it is answered.

A request is sent when the store has no answer to it, no other process has claimed it, the limiter
has a slot and the budget covers it. Its reply is committed to the store in the moment it arrives,
before anything else is done with it: whatever happens to the process later, it is not sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from groundwork.addresses import scrubbed
from groundwork.printable import one_line
from judges.client.connection import Connection, NoReplyError
from judges.client.limiter import AdaptiveLimiter
from judges.client.parsing import parse_object
from judges.client.queue import Queue
from judges.client.records import (
    Answer,
    ClientSettings,
    Failure,
    FatalServerError,
    RequestStats,
    Server,
)
from judges.client.retry import Sender
from judges.credentials import scrub
from judges.prices import Budget
from judges.request import JudgeRequest
from judges.store import VerdictStore

__all__ = [
    "Answer",
    "Client",
    "ClientSettings",
    "Failure",
    "FatalServerError",
    "RequestStats",
    "Server",
    "run_async",
]


LISTING_S = 10.0
"""For the list of models, which is a convenience."""


class Client:
    """A server and the state that carries over between calls (limiter, budget, statistics).

    Args:
        server: address, model and key; the key is never written anywhere.
        judge: the name under which replies are kept (model, and server where it is not OpenAI's).
        store, budget, settings: see their classes.
        scope: label under which the spend is booked, so that a resumed run continues its budget.
    """

    def __init__(
        self,
        server: Server,
        judge: str,
        store: VerdictStore,
        budget: Budget,
        *,
        settings: ClientSettings | None = None,
        scope: str = "",
    ) -> None:
        self.server = server
        self.judge = judge
        self.store = store
        self.budget = budget
        self.settings = settings or ClientSettings()
        self.scope = scope
        self.stats = RequestStats()
        self.proven = False
        """Whether the server has answered anything: an error is then one request's own."""
        self.limiter = AdaptiveLimiter(self.settings.concurrency)

    def __repr__(self) -> str:
        return f"Client({self.judge!r})"

    async def ask(self, requests: Iterable[JudgeRequest]) -> AsyncIterator[Answer]:
        """Answers in the order they arrive; memory holds only the requests under way.

        Raises:
            JudgeError: the server will answer nothing (wrong key, unknown model, refused
                connection throughout), or the budget is used up. Replies so far are in the store.
        """
        async with Connection(self.server, self.settings.timeout_s) as connection:
            queue = Queue(self, Sender(self, connection))
            try:
                async for answer in queue.answers(iter(enumerate(requests))):
                    yield answer
            finally:
                await queue.stop()

    async def reachable(self) -> bool:
        """Whether the server answers a request that costs nothing, and takes the key."""
        async with Connection(self.server, min(self.settings.timeout_s, LISTING_S)) as connection:
            try:
                return (await connection.get("/models")).status not in (401, 403)
            except (NoReplyError, FatalServerError):
                return False

    async def listed(self) -> dict[str, Any]:
        """The server's entry for the model in its list of models; empty without one."""
        async with Connection(self.server, min(self.settings.timeout_s, LISTING_S)) as connection:
            try:
                reply = await connection.get("/models")
                rows = parse_object(reply.body).get("data") if reply.status == 200 else []
            except (NoReplyError, FatalServerError, ValueError):
                return {}  # not every server lists its models; the first request tells the rest
        listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return next((row for row in listed if row.get("id") == self.server.model), {})

    def scrub(self, text: str) -> str:
        """One printable line without the key and without secrets of the address."""
        return one_line(scrubbed(scrub(text, self.server.api_key), self.server.base_url))


def run_async(work: Callable[[], Any]) -> Any:
    """Run a coroutine function to its end, also where an event loop is already running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()
