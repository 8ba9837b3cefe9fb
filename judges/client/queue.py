"""Which request goes next: the store, other processes, the limiter and the budget decide."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from judges.client.records import Answer, Failure, Job
from judges.errors import JudgeError
from judges.request import JudgeRequest
from judges.stored_reply import StoredReply

if TYPE_CHECKING:
    from judges.client import Client
    from judges.client.retry import Sender

LOOKUP = 256
"""Requests looked up in the store at a time."""
CLAIM = 32
"""Requests claimed at a time, in one transaction."""
POLL_S = 0.25
"""Between two looks for answers to requests that another process has claimed, in seconds."""
LAST_REPLIES_S = 10.0
"""How long a run that ends early waits for the replies in flight."""


class Queue:
    """One call of ``Client.ask``: requests that wait, requests in flight, and requests that other
    processes have claimed."""

    def __init__(self, client: Client, sender: Sender) -> None:
        self.client = client
        self.sender = sender
        self.store = client.store
        self.ready: deque[Answer] = deque()
        self.waiting: dict[str, Job] = {}
        self.claimed: deque[Job] = deque()
        self.claimed_by_others: dict[str, Job] = {}
        self.in_flight: dict[asyncio.Task[None], Job] = {}
        self.changed = asyncio.Event()
        self.polled_at = 0.0
        self.no_budget = False
        self.error: JudgeError | None = None

    async def answers(self, source: Iterator[tuple[int, JudgeRequest]]) -> AsyncIterator[Answer]:
        """Answers as they arrive. Raises as ``Client.ask``."""
        more = True
        while True:
            while more and len(self.waiting) < LOOKUP and not self.ready:
                more = self._look_up(source)
            self._launch()
            while self.ready:
                yield self.ready.popleft()
            if self.error is not None:
                raise self.error
            if self.no_budget and not self.in_flight:
                left = len(self.claimed) + len(self.waiting) + len(self.claimed_by_others)
                raise self.client.budget.exhausted(left)
            if self.ready or (more and len(self.waiting) < LOOKUP):
                continue
            if not (self.in_flight or self.claimed or self.waiting or self.claimed_by_others):
                return
            await self._change(POLL_S)
            self._poll()

    async def stop(self) -> None:
        """Send nothing more; requests in flight, which will be charged, may still be answered."""
        self.sender.stopped = True
        for task, job in self.in_flight.items():
            if not job.sending:
                task.cancel()
        left = [*self.in_flight.values(), *self.claimed]
        if self.in_flight:
            _, late = await asyncio.wait(self.in_flight, timeout=LAST_REPLIES_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self.store.release([job.key for job in left])

    def _look_up(self, source: Iterator[tuple[int, JudgeRequest]]) -> bool:
        """Take requests from the source; those in the store are answered. False at its end."""
        known = {job.key: job for job in (*self.in_flight.values(), *self.claimed)}
        known |= self.claimed_by_others | self.waiting
        new: dict[str, Job] = {}
        taken = 0
        for index, request in source:
            taken += 1
            key = request.key(self.client.judge)
            job = known.get(key) or new.setdefault(key, Job(request, key, []))
            job.indices.append(index)
            if taken == LOOKUP:
                break
        found = self.store.get(list(new))
        for key, job in new.items():
            if key in found:
                self._answer(job, found[key], cached=True)
            else:
                self.waiting[key] = job
        return taken == LOOKUP

    def _launch(self) -> None:
        """Start requests while there are slots, claims and budget for them."""
        while (job := self._next()) is not None:
            task = asyncio.create_task(self._work(job, self.client.limiter.take()))
            self.in_flight[task] = job
            task.add_done_callback(self._finished)

    def _next(self) -> Job | None:
        """The next request to send: claimed, its cost set aside, and with a slot free for it."""
        self.no_budget = False
        limiter = self.client.limiter
        if self.sender.stopped or not limiter.has_room() or not self._have_claim():
            return None
        bound = self.client.budget.reserve(self.claimed[0].request)
        if bound is None:
            self.no_budget = True
            return None
        job = self.claimed.popleft()
        job.bound = bound
        return job

    def _have_claim(self) -> bool:
        """Claim some of the waiting requests; those of other processes are put aside."""
        while self.waiting and not self.claimed:
            jobs = [self.waiting.pop(key) for key in list(self.waiting)[:CLAIM]]
            mine = self.store.claim([job.key for job in jobs], self.client.settings.lease_s)
            for job in jobs:
                job.claimed_at = time.monotonic()
                if job.key in mine:
                    self.claimed.append(job)
                else:
                    self.claimed_by_others[job.key] = job
        return bool(self.claimed)

    async def _work(self, job: Job | None, ticket: int) -> None:
        """Send one request after the other. The next one is written as soon as a reply is stored,
        before replies that came with it are read: they would go on coming together."""
        task = asyncio.current_task()
        assert task is not None
        while job is not None:
            self.in_flight[task] = job
            await self._obtain(job, ticket)
            if (job := self._next()) is not None:
                ticket = self.client.limiter.take()

    async def _obtain(self, job: Job, ticket: int) -> None:
        """Send one request until it is answered, given up, or taken over by another process."""
        cost: float | None = None
        try:
            outcome = await self.sender.obtain(job, ticket)
            if isinstance(outcome, StoredReply):
                cost = outcome.cost_usd
            elif outcome is not None:
                self.store.release([job.key])
        finally:
            self.client.budget.settle(job.bound, cost)
        if outcome is None:
            self.claimed_by_others[job.key] = job
        else:
            self._answer(job, outcome, cached=False)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self.in_flight[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, JudgeError):
                error = JudgeError(self.client.scrub(f"{type(error).__name__}: {error}"))
            self.error = self.error or error
            self.sender.stopped = True
        self.changed.set()

    async def _change(self, timeout: float) -> None:
        """Until something changes. Not ``asyncio.wait_for``, which makes a task per call."""
        self.changed.clear()
        timer = asyncio.get_running_loop().call_later(timeout, self.changed.set)
        await self.changed.wait()
        timer.cancel()

    def _poll(self) -> None:
        """Look for answers to what other processes have claimed; take over what they gave up."""
        if not self.claimed_by_others or time.monotonic() < self.polled_at + POLL_S:
            return
        self.polled_at = time.monotonic()
        for key, row in self.store.get(list(self.claimed_by_others)).items():
            self._answer(self.claimed_by_others.pop(key), row, cached=True)
        for key in self.store.claim(list(self.claimed_by_others), self.client.settings.lease_s):
            self.waiting[key] = self.claimed_by_others.pop(key)

    def _answer(self, job: Job, outcome: StoredReply | Failure, *, cached: bool) -> None:
        stats = self.client.stats
        if isinstance(outcome, Failure):
            stats.failed += 1
        else:
            stats.answered += not cached
            stats.cached += len(job.indices) - (not cached)
            stats.served[outcome.served] = stats.served.get(outcome.served, 0) + 1
        for i, index in enumerate(job.indices):
            self.ready.append(Answer(index, outcome, cached or i > 0))
        self.changed.set()
