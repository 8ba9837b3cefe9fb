"""One request's way to a reply: tries, back-off, and what an error of the server means."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from judges.client.records import Failure, HopelessError, Job
from judges.reply import Reply, read_reply
from judges.store import StoredReply

if TYPE_CHECKING:
    from judges.client import Client
    from judges.client.connection import Connection

MENDS = {408, 409, 425, 429}
LOAD = {429, 503, 529}
FATAL = {401, 403, 404, 405}
FRESH_S = 20.0
"""Age at which a claim is renewed before its request is sent, so that it holds for a whole try."""
MOST_GIVEN_UP = 5
"""Requests given up with none answered in between after which the server counts as gone."""


class WithdrawnError(Exception):
    """A request that was made and is not to be sent any more."""


@dataclass(frozen=True)
class Trouble:
    """A try that may go better next time."""

    error: str
    load: bool = False
    retry_after: float | None = None


class Sender:
    """Sends one client's requests through an open connection."""

    def __init__(self, client: Client, connection: Connection) -> None:
        self.client = client
        self.connection = connection
        self.store = client.store
        self.limiter = client.limiter
        self.stopped = asyncio.Event()
        self._turns = asyncio.Lock()
        self.rejected = 0
        self.given_up = 0

    async def obtain(self, job: Job) -> StoredReply | Failure:
        """Send one request until it is answered or given up.

        Raises:
            HopelessError: the server will answer no request at all.
        """
        settings = self.client.settings
        tries, refusals, began = 0, 0, time.monotonic()
        while True:
            result = await self._send(job)
            if not isinstance(result, Trouble):
                return result
            if self.stopped.is_set():
                return Failure(result.error)
            waited = time.monotonic() - began
            tries, refusals = tries + (not result.load), refusals + result.load
            if (result.retry_after or 0.0) > settings.patience_s:
                asked = f"the server asks to wait {result.retry_after:.0f} s"
                raise self._hopeless(f"{asked}: {result.error}")
            if tries >= settings.attempts or waited > settings.patience_s:
                return self._give_up(f"given up after {tries} tries: {result.error}")
            self.client.tally.retried += 1
            exponent = min(refusals if result.load else tries, 16) - 1
            delay = min(settings.backoff_max_s, settings.backoff_s * 2**exponent)
            delay *= random.uniform(0.0 if result.load else 0.5, 1.0)
            await self._rest(delay + (result.retry_after or 0.0))
            if self.stopped.is_set():
                return Failure(result.error)
            job.claimed_at = 0.0

    def stop(self) -> None:
        """Send nothing more, and let nobody wait for a slot or a back-off."""
        self.stopped.set()
        self.limiter.open_wide()

    async def turn(self) -> None:
        """Wait until the request that follows the reply before this one is on its way.

        Replies that come together would otherwise all be worked on before the server gets anything
        to do, and would come together again. A request is written one round of the event loop after
        it has its slot.
        """
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._turns.release)

    async def _slot(self, job: Job) -> None:
        """What a request waits for before it is written: a slot, and that it is still ours to send.

        Raises:
            WithdrawnError: the run is stopping, or another process has taken the request over.
        """
        if job.ticket is not None:
            return  # the server redirects: the same try once more
        self._arrived(job)
        job.ticket = await self.limiter.acquire()
        if self.stopped.is_set():
            raise WithdrawnError("not sent")
        if time.monotonic() - job.claimed_at > FRESH_S:
            if job.key not in self.store.claim([job.key], self.client.settings.lease_s):
                raise WithdrawnError("another process took this request over")
            job.claimed_at = time.monotonic()
        self.client.tally.sent += 1

    def _arrived(self, job: Job) -> None:
        if job.announced:
            job.announced = False
            self.limiter.arrived()

    def _hand_back(self, job: Job) -> None:
        """Give a request's slot back, if it has one."""
        self._arrived(job)
        if job.ticket is not None:
            job.ticket = None
            self.limiter.failed()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), seconds)

    async def _send(self, job: Job) -> StoredReply | Failure | Trouble:
        """One try. The slot is handed back with what came of it."""
        try:
            heard = await self._hear(job)
            # outside of what mends: a reply that can't be stored is not asked for again
            return self._keep(job, *heard) if isinstance(heard, tuple) else heard
        finally:
            self._hand_back(job)

    async def _hear(
        self, job: Job
    ) -> tuple[dict[str, Any], Reply] | StoredReply | Failure | Trouble:
        """A reply's JSON and what it says, or why there is none."""
        import openai

        client = self.client
        try:
            content = await self.connection.post(
                "/chat/completions",
                {
                    "model": client.model,
                    "messages": list(job.request.messages),
                    **job.request.params,
                },
                {"Idempotency-Key": job.key},
                lambda: self._slot(job),
            )
            await self.turn()
            body = json.loads(content)
            return body, read_reply(body)
        except openai.APIStatusError as error:
            return self._status(job, error)
        except WithdrawnError as error:
            return self.store.get([job.key]).get(job.key) or Failure(str(error))
        except openai.APIConnectionError as error:
            # The cause says more: "Cannot connect to host ..." and not "Request timed out".
            return Trouble(client.scrub(str(error.__cause__ or "") or str(error)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return Trouble(client.scrub(f"unreadable reply: {error}"))

    def _keep(self, job: Job, body: dict[str, Any], reply: Reply) -> StoredReply:
        """Commit a reply, then free its slot."""
        row = self._row(job, body, reply.model, reply.prompt_tokens, reply.completion_tokens)
        self.store.put([row])
        job.ticket = None
        self.limiter.succeeded()
        self.client.proven = True
        self.given_up = 0
        return row

    def _status(self, job: Job, error: Any) -> StoredReply | Failure | Trouble:
        client = self.client
        code = error.status_code
        line = client.scrub(f"HTTP {code}: {_server_message(error)}")
        spent_up = getattr(error, "code", None) == "insufficient_quota"
        if (code in MENDS or code >= 500) and not spent_up:
            retry_after = retry_after_seconds(error.response.headers)
            if code in LOAD:
                client.tally.refused += 1
                ticket, job.ticket = job.ticket, None
                if ticket is not None:
                    self.limiter.limited(ticket, retry_after)
            return Trouble(line, load=code in LOAD, retry_after=retry_after)
        if spent_up or code == 401 or (code in FATAL and not client.proven):
            raise self._hopeless(f"{_advice(code, client.model)}{line}")
        if "content_filter" in line or getattr(error, "code", None) == "content_filter":
            body = {"choices": [{"message": {}, "finish_reason": "content_filter"}], "error": line}
            row = self._row(job, body, "", 0, 0)
            self.store.put([row])
            return row
        self.rejected += 1
        if not client.proven and self.rejected >= 3:
            raise self._hopeless(f"the server rejects every request: {line}")
        return Failure(line)

    def _give_up(self, reason: str) -> Failure:
        """One request failed for good; where no other one succeeds either, the run ends."""
        self.given_up += 1
        if not self.client.proven or self.given_up >= MOST_GIVEN_UP:
            raise self._hopeless(reason)
        return Failure(reason)

    def _hopeless(self, reason: str) -> HopelessError:
        self.stop()
        return HopelessError(f"{self.client.judge}: {reason}")

    def _row(
        self, job: Job, body: dict[str, Any], served: str, prompt: int, completion: int
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
