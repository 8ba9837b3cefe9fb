"""Which request goes next: the store, other processes, the limiter and the budget decide."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from judges.client.records import Answer, Failure, Job
from judges.errors import JudgeError
from judges.requests import JudgeRequest
from judges.store import StoredReply

if TYPE_CHECKING:
    from judges.client import Client
    from judges.client.sending import Sender

LOOKUP = 256
"""Requests looked up in the store at a time."""
CLAIM = 32
POLL_S = 0.25
"""How often the answers to requests that another process is asking are looked for."""
LAST_REPLIES_S = 10.0
"""How long a run that ends early waits for the replies in flight."""


class Dispatch:
    """One call of ``Client.ask``: the queue, the tasks in flight and what others are asking."""

    def __init__(self, client: Client, sender: Sender) -> None:
        self.client = client
        self.sender = sender
        self.limiter = client.limiter
        self.store = client.store
        self.ready: deque[Answer] = deque()
        self.pending: deque[Job] = deque()
        self.elsewhere: dict[str, Job] = {}
        self.under_way: dict[str, Job] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()
        self.error: JudgeError | None = None

    async def answers(self, source: Iterator[tuple[int, JudgeRequest]]) -> AsyncIterator[Answer]:
        more = True
        while True:
            while self.ready:
                yield self.ready.popleft()
            if self.error is not None:
                raise self.error
            if more and len(self.pending) < LOOKUP:
                more = self._look_up(source)
            elif self.pending:
                await self._launch()
            elif self.tasks:
                await self._wait_for_change(None)
            elif self.elsewhere:
                await self._wait_for_change(POLL_S)
                self._poll()
            elif not self.ready:
                return

    async def stop(self) -> None:
        """Send nothing more; what is in flight (and will be charged) may still arrive."""
        self.sender.stop()
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=LAST_REPLIES_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self.store.release([*self.under_way])

    def _look_up(self, source: Iterator[tuple[int, JudgeRequest]]) -> bool:
        """Take requests from the source; those in the store are answered. False at its end."""
        jobs: dict[str, Job] = {}
        taken = 0
        for index, request in source:
            taken += 1
            key = request.key(self.client.judge)
            known = self.under_way.get(key) or self.elsewhere.get(key) or jobs.get(key)
            if known is not None:
                known.indices.append(index)
            else:
                jobs[key] = Job(request, key, [index])
            if taken == LOOKUP:
                break
        queued = {job.key: job for job in self.pending}
        for key in [key for key in jobs if key in queued]:
            queued[key].indices += jobs.pop(key).indices
        found = self.store.get(list(jobs))
        for key, job in jobs.items():
            if key in found:
                self._answer(job, found[key], cached=True)
            else:
                self.pending.append(job)
        return taken == LOOKUP

    async def _launch(self) -> None:
        """Start as many queued requests as there are slots, at least one."""
        tickets = [await self.limiter.acquire()]
        if self.sender.stopped.is_set():
            self.limiter.failed()
            await self._wait_for_change(POLL_S)
            return
        while len(tickets) < min(len(self.pending), CLAIM):
            ticket = self.limiter.try_acquire()
            if ticket is None:
                break
            tickets.append(ticket)
        jobs = [self.pending.popleft() for _ in tickets]
        mine = self.store.claim([job.key for job in jobs], self.client.settings.lease_s)
        for i, (job, ticket) in enumerate(zip(jobs, tickets, strict=True)):
            if job.key not in mine:
                self.limiter.failed()
                self.elsewhere[job.key] = job
                continue
            bound = self.client.budget.reserve(job.request)
            if bound is None:
                for _ in tickets[i:]:
                    self.limiter.failed()
                self.store.release([j.key for j in jobs[i:]])
                self.pending.extendleft(reversed(jobs[i:]))
                await self._budget_pause()
                return
            self.under_way[job.key] = job
            task = asyncio.create_task(self._obtain(job, ticket, bound))
            self.tasks.add(task)
            task.add_done_callback(self._finished)

    async def _budget_pause(self) -> None:
        """Wait for requests in flight to cost less than was set aside; without any, give up."""
        if not self.tasks:
            missing = len(self.pending) + len(self.elsewhere)
            raise self.client.budget.exhausted(missing)
        await self._wait_for_change(None)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, JudgeError):
                error = JudgeError(self.client.scrub(f"{type(error).__name__}: {error}"))
            self.error = self.error or error
            self.sender.stop()
        self.changed.set()

    async def _wait_for_change(self, timeout: float | None) -> None:
        self.changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), timeout)

    def _poll(self) -> None:
        """Look for answers to what others were asking; take over what they gave up."""
        found = self.store.get(list(self.elsewhere))
        for key, row in found.items():
            self._answer(self.elsewhere.pop(key), row, cached=True)
        for key in self.store.claim(list(self.elsewhere), self.client.settings.lease_s):
            self.pending.append(self.elsewhere.pop(key))

    def _answer(self, job: Job, outcome: StoredReply | Failure, *, cached: bool) -> None:
        tally = self.client.tally
        if isinstance(outcome, Failure):
            tally.failed += 1
        else:
            if cached:
                tally.cached += len(job.indices)
            else:
                tally.answered += 1
                tally.cached += len(job.indices) - 1
            tally.served[outcome.served] = tally.served.get(outcome.served, 0) + 1
        for i, index in enumerate(job.indices):
            self.ready.append(Answer(index, outcome, cached or i > 0))
        self.changed.set()

    async def _obtain(self, job: Job, ticket: int, bound: float) -> None:
        """Send one request until it is answered, given up, or proven hopeless."""
        cost: float | None = None
        try:
            outcome = await self.sender.obtain(job, ticket)
            if isinstance(outcome, StoredReply):
                cost = outcome.cost_usd
            else:
                self.store.release([job.key])
        finally:
            self.client.budget.settle(bound, cost)
        del self.under_way[job.key]
        self._answer(job, outcome, cached=False)
