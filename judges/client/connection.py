"""The connections to the server, over aiohttp.

httpx's own pool looks at every connection on each request, and its parser is written in Python: at 50
requests in flight that costs more time than all the rest. The official package supports aiohttp as
its transport, which has neither.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from judges.credentials import NO_KEY

RAW = {"X-Stainless-Raw-Response": "true"}
"""The official package's mark for: hand back the response itself, as ``with_raw_response`` does."""

Ready = Callable[[], Awaitable[None]]
_ready: ContextVar[Ready] = ContextVar("ready")
"""What the request of the current task waits for when it is ready to be written."""


async def _wait_until_ready(_: Any) -> None:
    await _ready.get()()


class Connection:
    """The official asynchronous client of one server; an asynchronous context manager.

    Sends through its ``post``, which is what ``chat.completions.create`` calls after it has walked
    through the types of all parameters (a millisecond a request).
    """

    def __init__(self, *, api_key: str, base_url: str | None, timeout_s: float) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._api: Any = None

    async def __aenter__(self) -> Connection:
        import openai

        self._api = openai.AsyncOpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=0,
            timeout=self._timeout_s,
            organization=None if self._api_key != NO_KEY else "",
            http_client=openai.DefaultAioHttpClient(
                timeout=self._timeout_s, event_hooks={"request": [_wait_until_ready]}
            ),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.close()

    async def post(
        self, path: str, body: dict[str, Any], headers: dict[str, str], ready: Ready
    ) -> bytes:
        """The body of the answer to one request, which is made, then waits for ``ready``, then is
        written. No time-out runs before that.

        Raises what the official package raises, and what ``ready`` raises.
        """
        _ready.set(ready)
        raw = await self._api.post(
            path, cast_to=object, body=body, options={"headers": {**RAW, **headers}}
        )
        return bytes(raw.http_response.content)
