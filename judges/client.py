"""Ask an OpenAI-compatible server, many requests at once, each one until it is answered.

A request is sent when the store has no answer to it, no other process is asking it, the limiter
has a slot and the budget covers it. Its reply is committed to the store in the moment it arrives,
before anything else is done with it: whatever happens to the process later, it is not sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from judges.credentials import NO_KEY, scrub
from judges.errors import JudgeError
from judges.limiter import AdaptiveLimiter
from judges.prices import Budget
from judges.replies import read_reply
from judges.requests import JudgeRequest
from judges.store import StoredReply, VerdictStore

LOOKUP = 256
"""Requests looked up in the store at a time."""
CLAIM = 32
POLL_S = 0.25
"""How often the answers to requests that another process is asking are looked for."""
LAST_REPLIES_S = 10.0
"""How long a run that ends early waits for the replies in flight."""
MENDS = {408, 409, 425, 429}
LOAD = {429, 503, 529}
FATAL = {401, 403, 404, 405}


@dataclass(frozen=True)
class ClientSettings:
    """How patient the client is. Times in seconds."""

    timeout_s: float = 120.0
    attempts: int = 12
    """Tries of one request before it is given up; refusals for load are not counted."""
    patience_s: float = 1800.0
    """How long one request may be refused for load."""
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0


@dataclass(frozen=True)
class Failure:
    """A request that got no usable reply. ``error`` is one scrubbed line."""

    error: str


@dataclass(frozen=True)
class Answer:
    """What came of one request, by its position in the input."""

    index: int
    outcome: StoredReply | Failure
    cached: bool


@dataclass
class Tally:
    """What a client did: requests answered by the server, from the store, tries and failures."""

    answered: int = 0
    cached: int = 0
    sent: int = 0
    refused: int = 0
    retried: int = 0
    failed: int = 0
    served: dict[str, int] = field(default_factory=dict)


@dataclass
class _Job:
    request: JudgeRequest
    key: str
    indices: list[int]


class HopelessError(JudgeError):
    """An answer of the server that ends the run."""


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
        self.concurrency = concurrency
        self._limiter = AdaptiveLimiter(concurrency)
        self._key = api_key

    def __repr__(self) -> str:
        return f"Client({self.judge!r})"

    async def ask(
        self, requests: Iterable[JudgeRequest], *, use_store: bool = True
    ) -> AsyncIterator[Answer]:
        """Answers in the order they arrive; memory holds only what is under way.

        Raises:
            JudgeError: the server will answer nothing (wrong key, unknown model, refused
                connection throughout), or the budget is used up. Replies so far are in the store.
        """
        async with self._open() as api:
            run = _Run(self, api, use_store)
            try:
                async for answer in run.answers(iter(enumerate(requests))):
                    yield answer
            finally:
                await run.stop()

    def _open(self) -> Any:
        import openai

        # The limiter's waiters belong to one event loop; its numbers are carried over.
        limiter = AdaptiveLimiter(self.concurrency)
        limiter.window, limiter.refused_at = self._limiter.window, self._limiter.refused_at
        self._limiter = limiter
        return openai.AsyncOpenAI(
            api_key=self._key,
            base_url=self.base_url,
            max_retries=0,
            timeout=self.settings.timeout_s,
            organization=None if self._key != NO_KEY else "",
        )

    def scrub(self, text: str) -> str:
        """One line without the key."""
        return " ".join(scrub(text, self._key).split())[:500]


class _Run:
    """One call of ``Client.ask``: the queue, the tasks in flight and what others are asking."""

    def __init__(self, client: Client, api: Any, use_store: bool) -> None:
        self.client = client
        self.api = api
        self.use_store = use_store
        self.limiter = client._limiter
        self.store = client.store
        self.ready: deque[Answer] = deque()
        self.pending: deque[_Job] = deque()
        self.elsewhere: dict[str, _Job] = {}
        self.under_way: dict[str, _Job] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()
        self.error: JudgeError | None = None
        self.stopping = False
        self.succeeded = False
        self.rejected = 0

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
        self.stopping = True
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=LAST_REPLIES_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self.store.release([*self.under_way])

    def _look_up(self, source: Iterator[tuple[int, JudgeRequest]]) -> bool:
        """Take requests from the source; those in the store are answered. False at its end."""
        jobs: dict[str, _Job] = {}
        taken = 0
        for index, request in source:
            taken += 1
            key = request.key(self.client.judge)
            known = self.under_way.get(key) or self.elsewhere.get(key) or jobs.get(key)
            if known is not None:
                known.indices.append(index)
            else:
                jobs[key] = _Job(request, key, [index])
            if taken == LOOKUP:
                break
        queued = {job.key: job for job in self.pending}
        for key in [key for key in jobs if key in queued]:
            queued[key].indices += jobs.pop(key).indices
        found = self.store.get(list(jobs)) if self.use_store else {}
        for key, job in jobs.items():
            if key in found:
                self._answer(job, found[key], cached=True)
            else:
                self.pending.append(job)
        return taken == LOOKUP

    async def _launch(self) -> None:
        """Start as many queued requests as there are slots, at least one."""
        tickets = [await self.limiter.acquire()]
        while len(tickets) < min(len(self.pending), CLAIM):
            ticket = self.limiter.try_acquire()
            if ticket is None:
                break
            tickets.append(ticket)
        jobs = [self.pending.popleft() for _ in tickets]
        mine = self.store.claim([job.key for job in jobs], self._lease())
        for i, (job, ticket) in enumerate(zip(jobs, tickets, strict=True)):
            if self.error is not None or job.key not in mine:
                self.limiter.failed()
                if job.key not in mine:
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
            self.error = error if isinstance(error, JudgeError) else self.error
            if not isinstance(error, JudgeError):
                self.error = JudgeError(self.client.scrub(f"{type(error).__name__}: {error}"))
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
        for key in self.store.claim(list(self.elsewhere), self._lease()):
            self.pending.append(self.elsewhere.pop(key))

    def _answer(self, job: _Job, outcome: StoredReply | Failure, *, cached: bool) -> None:
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

    def _lease(self) -> float:
        settings = self.client.settings
        return settings.timeout_s + 2 * settings.backoff_max_s + 30

    async def _obtain(self, job: _Job, ticket: int, bound: float) -> None:
        """Send one request until it is answered, given up, or proven hopeless."""
        cost: float | None = None
        try:
            outcome = await self._attempts(job, ticket)
            if isinstance(outcome, StoredReply):
                cost = outcome.cost_usd
            else:
                self.store.release([job.key])
        finally:
            self.client.budget.settle(bound, cost)
        del self.under_way[job.key]
        self._answer(job, outcome, cached=False)

    async def _attempts(self, job: _Job, ticket: int) -> StoredReply | Failure:
        settings, limiter = self.client.settings, self.limiter
        tries, refusals, began = 0, 0, time.monotonic()
        while True:
            result = await self._send(job, ticket)
            if not isinstance(result, _Trouble):
                return result
            if self.stopping:
                return Failure(result.error)
            waited = time.monotonic() - began
            tries, refusals = tries + (not result.load), refusals + result.load
            if tries >= settings.attempts or waited > settings.patience_s:
                if not self.succeeded:
                    raise HopelessError(f"{self.client.judge}: {result.error}")
                return Failure(f"given up after {tries} tries: {result.error}")
            self.client.tally.retried += 1
            exponent = min(refusals if result.load else tries, 16) - 1
            delay = min(settings.backoff_max_s, settings.backoff_s * 2**exponent)
            delay *= random.uniform(0.0 if result.load else 0.5, 1.0)
            await asyncio.sleep(delay + (result.retry_after or 0.0))
            if self.stopping:
                return Failure(result.error)
            ticket = await limiter.acquire()
            if job.key not in self.store.claim([job.key], self._lease()):
                limiter.failed()
                found = self.store.get([job.key]).get(job.key)
                return found or Failure("another process took this request over")

    async def _send(self, job: _Job, ticket: int) -> StoredReply | Failure | _Trouble:
        """One try. The slot is handed back with what came of it."""
        import openai

        client, limiter = self.client, self.limiter
        client.tally.sent += 1
        try:
            raw = await self.api.chat.completions.with_raw_response.create(
                model=client.model,
                messages=list(job.request.messages),
                extra_headers={"Idempotency-Key": job.key},
                **job.request.params,
            )
            body = json.loads(raw.http_response.content)
            reply = read_reply(body)
        except openai.APIStatusError as error:
            return self._status(job, error, ticket)
        except openai.APIConnectionError as error:
            limiter.failed()
            cause = f" ({error.__cause__})" if error.__cause__ and str(error.__cause__) else ""
            return _Trouble(client.scrub(f"{error}{cause}"))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            limiter.failed()
            return _Trouble(client.scrub(f"unreadable reply: {error}"))
        except BaseException:
            limiter.failed()
            raise
        row = self._row(job, body, reply.model, reply.prompt_tokens, reply.completion_tokens)
        self.store.put([row])
        limiter.succeeded()
        self.succeeded = True
        return row

    def _status(self, job: _Job, error: Any, ticket: int) -> StoredReply | Failure | _Trouble:
        client, limiter = self.client, self.limiter
        code = error.status_code
        line = client.scrub(f"HTTP {code}: {_server_message(error)}")
        spent_up = getattr(error, "code", None) == "insufficient_quota"
        if (code in MENDS or code >= 500) and not spent_up:
            retry_after = retry_after_seconds(error.response.headers)
            if code in LOAD:
                client.tally.refused += 1
                limiter.limited(ticket, retry_after)
            else:
                limiter.failed()
            return _Trouble(line, load=code in LOAD, retry_after=retry_after)
        limiter.failed()
        if code in FATAL or spent_up:
            raise HopelessError(f"{client.judge}: {_advice(code, client.model)}{line}")
        if "content_filter" in line or getattr(error, "code", None) == "content_filter":
            body = {"choices": [{"message": {}, "finish_reason": "content_filter"}], "error": line}
            row = self._row(job, body, "", 0, 0)
            self.store.put([row])
            return row
        self.rejected += 1
        if not self.succeeded and self.rejected >= 3:
            raise HopelessError(f"{client.judge}: the server rejects every request: {line}")
        return Failure(line)

    def _row(
        self, job: _Job, body: dict[str, Any], served: str, prompt: int, completion: int
    ) -> StoredReply:
        price = self.client.budget.price
        return StoredReply(
            key=job.key,
            judge=self.client.judge,
            served=served,
            protocol=job.request.protocol,
            attempt=job.request.attempt,
            request={"messages": list(job.request.messages), "params": dict(job.request.params)},
            reply=body,
            scope=self.client.scope,
            cost_usd=price.cost(prompt, completion) if price else 0.0,
            prompt_tokens=prompt,
            completion_tokens=completion,
            tags=job.request.tags,
        )


@dataclass(frozen=True)
class _Trouble:
    """A try that may go better next time."""

    error: str
    load: bool = False
    retry_after: float | None = None


def retry_after_seconds(headers: Any) -> float | None:
    """Seconds a server asks to wait: ``retry-after-ms``, else ``Retry-After`` (number or date)."""
    try:
        return max(0.0, float(headers.get("retry-after-ms")) / 1000)
    except (TypeError, ValueError):
        pass
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def run_async(work: Callable[[], Any]) -> Any:
    """Run a coroutine function to its end, also where an event loop is already running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def _server_message(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        return str(body.get("message") or body)
    return str(error)


def _advice(code: int, model: str) -> str:
    return {
        401: "the server does not accept the key; ",
        403: f"the key may not use model {model!r}; ",
        404: f"the server knows no model {model!r} (or no such address); ",
    }.get(code, "")
