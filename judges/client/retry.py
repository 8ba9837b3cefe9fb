"""One request's way to a reply: tries, back-off, and what an error of the server means."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from judges.client.connection import Connection, HttpReply, NoReplyError
from judges.client.parsing import parse_object
from judges.client.records import Failure, FatalServerError, Job
from judges.reply import Reply, read_reply
from judges.stored_reply import StoredReply
from judges.unreadable import Unreadable

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from judges.client import Client

RETRIED = {408, 409, 425, 429}
LOAD = {429, 503, 529}
FATAL = {401, 403, 404, 405}
FRESH_S = 20.0
"""Age at which a claim is renewed before its request is sent, so that it holds for a whole try."""
MOST_UNREADABLE = 3
"""Unreadable replies to one request after which it is given up: each may cost money."""
LONGEST_PAUSE_S = 86_400.0
MOST_GIVEN_UP = 5
"""Requests given up with none answered in between after which the server is looked at."""
LOOKS = 3


class RetryableError(Exception):
    """A failed try; the next one may succeed."""

    def __init__(
        self, message: str, *, load: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.load = load
        self.retry_after = retry_after


class UnreadableError(RetryableError):
    """A whole reply that is no chat completion; it may have been charged all the same. It is kept
    raw."""

    def __init__(self, message: str, raw: bytes) -> None:
        super().__init__(message)
        self.raw = raw


class TakenOverError(Exception):
    """Another process has claimed the request, or answered it."""


class Sender:
    """Sends one client's requests through an open connection."""

    def __init__(self, client: Client, connection: Connection) -> None:
        self.client = client
        self.connection = connection
        self.limiter = client.limiter
        self.settings = client.settings
        self.stopped = False
        self.rejected = 0
        self.given_up = 0

    async def obtain(self, job: Job, ticket: int) -> StoredReply | Failure | None:
        """Send one request until it is answered or given up; ``None``: another process has it.

        ``ticket`` is that of the slot taken for the first try.

        Raises:
            FatalServerError: the server will answer no request at all.
        """
        from tenacity import AsyncRetrying, retry_if_exception_type

        tickets = [ticket]
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(RetryableError),
            stop=partial(self._enough, job),
            wait=partial(self._delay, job),
            retry_error_callback=self._give_up,
        )
        try:
            outcome: StoredReply | Failure = await retrying(self._try, job, tickets)
        except TakenOverError:
            return None
        if isinstance(outcome, Failure):
            await self._check_server(outcome)
        return outcome

    async def _check_server(self, failure: Failure) -> None:
        """End the run where the server is gone, or is there and fails more requests in a row than it
        has ever answered."""
        if self.stopped or self.given_up < MOST_GIVEN_UP:
            return
        answered = self.client.stats.answered
        if self.given_up > max(MOST_GIVEN_UP, answered) or not await self._is_there():
            raise self._fatal(failure.error)

    async def _is_there(self) -> bool:
        """Whether the server answers anything at all, whatever it is."""
        for _ in range(LOOKS):
            try:
                await self.connection.get("/models")
            except NoReplyError:
                await asyncio.sleep(self.settings.backoff_max_s)
            except FatalServerError:
                return True
            else:
                return True
        return False

    async def _try(self, job: Job, tickets: list[int]) -> StoredReply | Failure:
        """One try in one slot, which goes back with the outcome."""
        ticket = tickets.pop() if tickets else await self.limiter.acquire()
        try:
            reply = await self._post(job)
            outcome = self._kept(job, reply) if reply.status == 200 else self._refused(job, reply)
        except RetryableError as error:
            if isinstance(error, UnreadableError):
                job.unreadable += 1
                self._keep_unreadable(job, error)
            if error.load:
                job.refusals += 1
                self.client.stats.refused += 1
                self.limiter.limited(ticket, error.retry_after)
            else:
                self.limiter.failed()
            raise
        except BaseException:
            self.limiter.failed()
            raise
        if reply.status == 200:
            self.limiter.succeeded()
            self.client.proven, self.given_up = True, 0
        else:
            self.limiter.failed()
        return outcome

    def _kept(self, job: Job, reply: HttpReply) -> StoredReply:
        """Commit a reply. One that can't be stored is not asked for again."""
        row = self._stored(job, *_parsed(self.client, reply))
        self.client.store.put([row])
        return row

    def _keep_unreadable(self, job: Job, error: UnreadableError) -> None:
        """Book what an unreadable reply may have cost, and keep it; its request can be asked again."""
        client = self.client
        row = Unreadable(
            job.key, client.judge, client.scope, str(error), error.raw, cost_usd=job.bound
        )
        client.store.put_unreadable(row)
        client.budget.book(job.bound)

    async def _post(self, job: Job) -> HttpReply:
        """Send the request, if it is still ours to send."""
        client = self.client
        if time.monotonic() - job.claimed_at > FRESH_S:
            if job.key not in client.store.claim([job.key], self.settings.lease_s):
                raise TakenOverError
            job.claimed_at = time.monotonic()
        body = {"model": client.server.model, "messages": list(job.request.messages)}
        client.stats.sent += 1
        job.sending = True
        try:
            return await self.connection.post(
                "/chat/completions", body | dict(job.request.params), job.key
            )
        except NoReplyError as error:
            raise RetryableError(client.scrub(str(error))) from None
        except FatalServerError as error:
            if client.proven:  # one odd answer of a server that has answered others
                job.odd += 1
                raise RetryableError(client.scrub(str(error))) from None
            raise self._fatal(client.scrub(str(error))) from None
        finally:
            job.sending = False

    def _refused(self, job: Job, reply: HttpReply) -> StoredReply | Failure:
        """What an answer other than 200 means.

        Raises:
            RetryableError: another try may succeed.
            FatalServerError: none will, of any request.
        """
        client, code = self.client, reply.status
        message, name = error_of(reply)
        line = client.scrub(f"HTTP {code}: {message}")
        quota_used_up = name == "insufficient_quota"
        if (code in RETRIED or code >= 500) and not quota_used_up:
            pause = retry_after_seconds(reply.headers)
            if (pause or 0.0) > self.settings.patience_s:
                raise self._fatal(f"the server asks to wait {pause:.0f} s: {line}")
            raise RetryableError(line, load=code in LOAD, retry_after=pause)
        if code in FATAL and client.proven and not quota_used_up:
            job.odd += 1
            raise RetryableError(line)
        about_parameter = code == 403 and "logprob" in message
        hopeless = code in FATAL and not client.proven and not about_parameter
        if quota_used_up or hopeless:
            raise self._fatal(f"{_advice(code, client.server.model)}{line}")
        if "content_filter" in f"{name} {line}":
            body = {
                "choices": [{"message": {}, "finish_reason": "content_filter"}],
                "error": line,
                "usage": {"prompt_tokens": 0, "completion_tokens": 0},
            }
            row = self._stored(job, body, read_reply(body))
            client.store.put([row])
            return row
        self.rejected += 1
        if not client.proven and self.rejected >= 3:
            raise self._fatal(f"the server rejects every request: {line}")
        return Failure(line)

    # What tenacity asks

    def _enough(self, job: Job, state: RetryCallState) -> bool:
        tries = state.attempt_number - job.refusals
        waited = state.seconds_since_start or 0.0
        if self.stopped or max(job.unreadable, job.odd) >= MOST_UNREADABLE:
            return True
        return tries >= self.settings.attempts or waited > self.settings.patience_s

    def _delay(self, job: Job, state: RetryCallState) -> float:
        """Exponential, jittered, after what the server asked for; the claim is then renewed."""
        error = _last_error(state)
        self.client.stats.retried += 1
        job.claimed_at = 0.0
        settings = self.settings
        tries = job.refusals if error.load else state.attempt_number - job.refusals
        delay = min(settings.backoff_max_s, settings.backoff_s * 2 ** (min(tries, 16) - 1))
        jitter = random.uniform(0.0 if error.load else 0.5, 1.0)
        return delay * jitter + (error.retry_after or 0.0)

    def _give_up(self, state: RetryCallState) -> Failure:
        """One request failed for good; where no other one succeeds either, the run ends."""
        error = _last_error(state)
        if self.stopped or isinstance(error, UnreadableError):
            return Failure(str(error))
        reason = f"given up after {state.attempt_number} tries: {error}"
        self.given_up += 1
        if not self.client.proven:
            raise self._fatal(reason)
        return Failure(reason)

    def _fatal(self, reason: str) -> FatalServerError:
        self.stopped = True
        return FatalServerError(f"{self.client.judge}: {reason}")

    def _stored(self, job: Job, body: dict[str, Any], reply: Reply) -> StoredReply:
        price = self.client.budget.price
        tokens = (reply.prompt_tokens, reply.completion_tokens)
        cost = price.cost(*tokens) if price else 0.0
        return StoredReply.of(
            job.request,
            self.client.judge,
            body,
            served=reply.model,
            scope=self.client.scope,
            cost_usd=cost if reply.usage_known else job.bound,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
        )


def _parsed(client: Client, reply: HttpReply) -> tuple[dict[str, Any], Reply]:
    """A reply's JSON and its parts."""
    try:
        body = parse_object(reply.body)
        return body, read_reply(body)
    except ValueError as error:
        message = client.scrub(f"unreadable reply: {error}")
        raise UnreadableError(message, reply.body) from None


def _last_error(state: RetryCallState) -> RetryableError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, RetryableError)
    return error


def retry_after_seconds(headers: Any) -> float | None:
    """Seconds a server asks to wait: ``retry-after-ms``, else ``Retry-After`` (number or date).
    More than ``LONGEST_PAUSE_S`` is no answer that anyone means."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name)) / unit
        except (TypeError, ValueError):
            continue
        return seconds if 0 <= seconds <= LONGEST_PAUSE_S else None
    try:
        when = parsedate_to_datetime(headers.get("retry-after") or "")
        seconds = max(0.0, (when - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, LookupError, AttributeError):
        return None
    return seconds if seconds <= LONGEST_PAUSE_S else None


def error_of(reply: HttpReply) -> tuple[str, str]:
    """Message and code of an error body (OpenAI's form, or FastAPI's ``detail``)."""
    text = reply.body.decode("utf-8", "replace")
    try:
        body: Any = parse_object(text)
    except ValueError:
        return text[:300] or "no reason given", ""
    error = body.get("error", body)
    if not isinstance(error, dict):
        return str(error)[:500], ""
    message = error.get("message") or error.get("detail") or error
    code = error.get("code")
    return str(message)[:500], str(code)[:100] if isinstance(code, str | int) else ""


def _advice(code: int, model: str) -> str:
    return {
        401: "the server does not accept the key; ",
        403: f"the key may not use model {model!r}; ",
        404: f"the server has no model {model!r} (or no such address); ",
    }.get(code, "")
