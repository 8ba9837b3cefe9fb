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
from judges.store import StoredReply

if TYPE_CHECKING:
    from judges.client import Client
    from judges.client.retry import Sender

LOOKUP = 256
"""Requests looked up in the store at a time."""
CLAIM = 32
"""Requests claimed at a time, and made before there is a slot for them, at most."""
POLL_S = 0.25
"""How often slots, and the answers to requests that another process is asking, are looked for."""
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
        self.claimed: deque[Job] = deque()
        self.no_budget = False
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
            elif self.no_budget:
                await self._budget_pause()
            elif self.pending or self.claimed:
                if not self._launch() and not self.ready and not self.no_budget:
                    await self._wait_for_change(POLL_S)
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
        self.store.release([*self.under_way, *(job.key for job in self.claimed)])

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
        queued = {job.key: job for job in (*self.claimed, *self.pending)}
        for key in [key for key in jobs if key in queued]:
            queued[key].indices += jobs.pop(key).indices
        found = self.store.get(list(jobs))
        for key, job in jobs.items():
            if key in found:
                self._answer(job, found[key], cached=True)
            else:
                self.pending.append(job)
        return taken == LOOKUP

    def _launch(self) -> bool:
        """Make queued requests, some more than there are slots; False when none could be."""
        started = False
        while (job := self._next_job()) is not None:
            task = asyncio.create_task(self._work(job))
            self.tasks.add(task)
            task.add_done_callback(self._finished)
            started = True
        return started

    def _next_job(self) -> Job | None:
        """The next request to make, claimed, its cost set aside; ``None``: not now."""
        if self.sender.stopped.is_set() or self.error is not None or self.no_budget:
            return None
        while self.claimed or self.pending:
            if not self.limiter.wanted(self._ahead()):
                return None
            if not self._have_claim():
                continue
            job = self.claimed[0]
            bound = self.client.budget.reserve(job.request)
            if bound is None:
                self.no_budget = True
                return None
            self.claimed.popleft()
            job.bound, job.announced = bound, True
            self.limiter.announce()
            self.under_way[job.key] = job
            return job
        return None

    def _ahead(self) -> int:
        """A fraction of a round trip's requests."""
        return max(1, min(CLAIM, int(self.limiter.window) // 4))

    def _have_claim(self) -> bool:
        """Claim some requests ahead: one transaction for all of them. What others are asking is
        put aside."""
        if self.claimed:
            return True
        jobs: list[Job] = []
        while self.pending and len(jobs) < self._ahead():
            jobs.append(self.pending.popleft())
        mine = self.store.claim([job.key for job in jobs], self.client.settings.lease_s)
        now = time.monotonic()
        for job in jobs:
            job.claimed_at = now
            if job.key in mine:
                self.claimed.append(job)
            else:
                self.elsewhere[job.key] = job
        return bool(self.claimed)

    async def _budget_pause(self) -> None:
        """Wait for requests in flight to cost less than was set aside; without any, give up."""
        if not self.tasks:
            missing = len(self.claimed) + len(self.pending) + len(self.elsewhere)
            raise self.client.budget.exhausted(missing)
        await self._wait_for_change(None)
        self.no_budget = False

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
        # Not wait_for, which makes a task each time.
        loop = asyncio.get_running_loop()
        timer = None if timeout is None else loop.call_later(timeout, self.changed.set)
        await self.changed.wait()
        if timer is not None:
            timer.cancel()

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

    async def _work(self, job: Job | None) -> None:
        """Send requests one after the other, while one more is wanted.

        Making a request takes longer than storing a reply, which frees a slot; so it comes after
        the replies that have arrived, and requests that were made before take those slots.
        """
        while job is not None:
            await self._obtain(job)
            await self.sender.turn()
            job = self._next_job()

    async def _obtain(self, job: Job) -> None:
        """Send one request until it is answered, given up, or proven hopeless."""
        cost: float | None = None
        try:
            outcome = await self.sender.obtain(job)
            if isinstance(outcome, StoredReply):
                cost = outcome.cost_usd
            else:
                self.store.release([job.key])
        finally:
            self.client.budget.settle(job.bound, cost)
        del self.under_way[job.key]
        self._answer(job, outcome, cached=False)
