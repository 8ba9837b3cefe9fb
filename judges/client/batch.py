"""The provider's batch API: the same requests for half the price, answered within a day.

The store has the requests of each batch before any waiting starts, and each batch carries a digest
of its requests, so that a killed run finds its batches again instead of paying for them twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from judges.client.parsing import parse_object
from judges.client.records import Answer, Failure, FatalServerError
from judges.client.retry import RETRIED
from judges.errors import JudgeError
from judges.reply import read_reply
from judges.request import JudgeRequest
from judges.stored_reply import StoredReply
from judges.unreadable import Unreadable

if TYPE_CHECKING:
    from judges.client import Client

MOST_REQUESTS = 50_000
MOST_BYTES = 90_000_000
"""A provider's limits of one batch (OpenAI: 50,000 requests, 200 MB), the second well below."""
LEASE_S = 26 * 3600.0
DONE = {"completed", "expired", "cancelled", "failed"}
USELESS = {"cancelled", "cancelling", "failed", "expired"}
MARK = "sso_bench"
CONTROL_TRIES = 8


class BatchClient:
    """Hands requests in as batches and collects the replies (server, store, budget: a client's)."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.store = client.store

    async def ask(self, requests: Sequence[JudgeRequest]) -> AsyncIterator[Answer]:
        """Answers to requests that the store lacks, once their batches are done.

        Raises:
            JudgeError: the server takes no batches, or the budget does not cover them; nothing is
                sent then.
        """
        import openai

        keys = [request.key(self.client.judge) for request in requests]
        wanted = dict(zip(keys, requests, strict=True))
        async with openai.AsyncOpenAI(
            api_key=self.client.server.api_key,
            base_url=self.client.server.base_url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        ) as api:
            for batch, held in list(self._open().items()):
                await self._collect(api, batch, {k: wanted[k] for k in held if k in wanted}, held)
            answered = self.store.get(keys)
            rest = {key: request for key, request in wanted.items() if key not in answered}
            mine = self.store.claim(list(rest), LEASE_S)
            bounds = self._reserve([rest[key] for key in rest if key in mine])
            try:
                parts = list(self._parts({key: rest[key] for key in rest if key in mine}))
                batches = [await self._hand_in(api, part) for part in parts]
                for batch, part in zip(batches, parts, strict=True):
                    await self._collect(api, batch, part, list(part))
            finally:
                for bound in bounds:
                    self.client.budget.settle(bound, None)
                self.store.release(list(mine))
        found = self.store.get(keys)
        for index, key in enumerate(keys):
            outcome = found.get(key) or Failure("the batch came back without an answer to it")
            yield Answer(index, outcome, key in answered)

    def _fact(self) -> str:
        return f"batches:{self.client.judge}"

    def _open(self) -> dict[str, list[str]]:
        """Batches that were handed in and not collected: id -> keys."""
        return dict(self.store.fact(self._fact()) or {})

    def _reserve(self, requests: Sequence[JudgeRequest]) -> list[float]:
        budget = self.client.budget
        bounds: list[float] = []
        for request in requests:
            bound = budget.reserve(request, batch=True)
            if bound is None:
                for taken in bounds:
                    budget.settle(taken, None)
                raise budget.exhausted(len(requests))
            bounds.append(bound)
        return bounds

    def _parts(self, requests: dict[str, JudgeRequest]) -> Iterator[dict[str, JudgeRequest]]:
        part: dict[str, JudgeRequest] = {}
        size = 0
        for key, request in requests.items():
            length = len(self._line(key, request))
            if part and (len(part) == MOST_REQUESTS or size + length > MOST_BYTES):
                yield part
                part, size = {}, 0
            part[key] = request
            size += length
        if part:
            yield part

    def _line(self, key: str, request: JudgeRequest) -> bytes:
        body = {"model": self.client.server.model, "messages": list(request.messages)}
        line = {
            "custom_id": key,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body | dict(request.params),
        }
        return json.dumps(line).encode() + b"\n"

    async def _hand_in(self, api: Any, part: dict[str, JudgeRequest]) -> str:
        """Id of the batch of these requests: an earlier one, else a new one."""
        digest = hashlib.sha256("".join(sorted(part)).encode()).hexdigest()

        async def create() -> str:
            page = await api.batches.list(limit=100)
            for batch in page.data:
                if (batch.metadata or {}).get(MARK) == digest and batch.status not in USELESS:
                    return str(batch.id)
            lines = b"".join(self._line(key, request) for key, request in part.items())
            file = await api.files.create(file=("requests.jsonl", lines), purpose="batch")
            batch = await api.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={MARK: digest},
            )
            return str(batch.id)

        name: str = await self._patiently(create)
        self.store.set_fact(self._fact(), {**self._open(), name: list(part)})
        return name

    async def _collect(
        self, api: Any, name: str, requests: dict[str, JudgeRequest], held: Sequence[str]
    ) -> None:
        """Wait for a batch and store its replies. Replies to requests of other calls are left for
        those calls."""
        while True:
            batch = await self._patiently(lambda: api.batches.retrieve(name))
            if batch.status in DONE:
                break
            await asyncio.sleep(self.client.settings.batch_poll_s)
        if batch.status == "failed":
            errors = [error.message for error in (batch.errors.data or [])] if batch.errors else []
            self._forget(name)
            reason = self.client.scrub("; ".join(map(str, errors)) or "no reason given")
            raise JudgeError(f"{self.client.judge}: the provider refused the batch: {reason}")
        if batch.output_file_id:
            answer = await self._patiently(lambda: api.files.content(batch.output_file_id))
            self._keep(answer.text, requests)
        left = set(held) - set(requests)
        if not left - set(self.store.get(list(left))):
            self._forget(name)

    def _forget(self, name: str) -> None:
        self.store.set_fact(self._fact(), {k: v for k, v in self._open().items() if k != name})

    def _keep(self, text: str, requests: dict[str, JudgeRequest]) -> None:
        rows: list[StoredReply] = []
        for line in text.split("\n"):
            try:
                answer = parse_object(line)
            except ValueError:
                continue  # no line of ours: its request counts as not answered
            key, response = answer.get("custom_id"), answer.get("response")
            if not isinstance(key, str) or key not in requests or not isinstance(response, dict):
                continue
            if response.get("status_code") == 200:
                rows += self._stored(requests[key], key, response.get("body"))
        known = self.store.get([row.key for row in rows])
        new = [row for row in rows if row.key not in known]
        self.store.put(new)
        stats = self.client.stats
        stats.answered += len(new)
        for row in new:
            stats.served[row.served] = stats.served.get(row.served, 0) + 1
            self.client.budget.book(row.cost_usd)

    def _stored(self, request: JudgeRequest, key: str, body: Any) -> list[StoredReply]:
        """A reply as it is kept; one that can't be read is kept raw and booked."""
        client = self.client
        try:
            reply = read_reply(body if isinstance(body, dict) else {})
        except ValueError as error:
            raw = json.dumps(body).encode()
            bound = client.budget.upper_bound(request, batch=True)
            reason = client.scrub(f"unreadable reply: {error}")
            row = Unreadable(key, client.judge, client.scope, reason, raw, cost_usd=bound)
            self.store.put_unreadable(row)
            client.budget.book(bound)
            return []
        price, tokens = client.budget.price, (reply.prompt_tokens, reply.completion_tokens)
        cost = price.cost(*tokens, batch=True) if price else 0.0
        if not reply.usage_known:
            cost = client.budget.upper_bound(request, batch=True)
        return [
            StoredReply.of(
                request,
                client.judge,
                body,
                served=reply.model,
                origin="batch",
                scope=client.scope,
                cost_usd=cost,
                prompt_tokens=tokens[0],
                completion_tokens=tokens[1],
            )
        ]

    async def _patiently(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """A call about batches, tried again after errors that may pass."""
        import openai
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

        settings = self.client.settings
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(CONTROL_TRIES),
            wait=wait_exponential(settings.backoff_s, settings.backoff_max_s),
            reraise=True,
        )

        async def once() -> Any:
            return await call()

        try:
            return await retrying(once)
        except openai.APIError as error:
            line = self.client.scrub(str(error))
            raise FatalServerError(f"{self.client.judge}: {line}") from None


def _may_pass(error: BaseException) -> bool:
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code >= 500 or error.status_code in RETRIED
    return isinstance(error, openai.APIConnectionError)
