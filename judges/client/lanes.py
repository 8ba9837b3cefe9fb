"""Connections to the server: one HTTP client a request in flight, used again and again.

httpx looks at every connection of a pool on each request, which at 250 requests a second on 50
connections costs more time than all the rest. A stack of clients with one connection each does not;
the one used last is taken first, so that few stay open when little is sent.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any

from judges.credentials import NO_KEY

RAW = {"X-Stainless-Raw-Response": "true"}
"""The official package's mark for: hand back the response itself, as ``with_raw_response`` does."""


class Lanes:
    """HTTP clients of one server; an asynchronous context manager.

    Sends through the official package's ``post``, which is what ``chat.completions.create`` calls
    after it has walked through the types of all parameters (a millisecond a request).
    """

    def __init__(self, *, api_key: str, base_url: str | None, timeout_s: float) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._free: list[Any] = []
        self._all: list[Any] = []
        self._root: Any = None
        self._tls: ssl.SSLContext | bool = True

    async def __aenter__(self) -> Lanes:
        import openai

        self._root = openai.AsyncOpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=0,
            timeout=self._timeout_s,
            organization=None if self._api_key != NO_KEY else "",
        )
        # Made once for all lanes: loading the certificates takes longer than many requests.
        self._tls = _certificates()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(lane.close() for lane in self._all), return_exceptions=True)
        await self._root.close()

    async def post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> bytes:
        """The body of the answer to one request. Raises what the official package raises."""
        lane = self._free.pop() if self._free else self._open()
        try:
            raw = await lane.post(
                path, cast_to=object, body=body, options={"headers": {**RAW, **headers}}
            )
            return bytes(raw.http_response.content)
        finally:
            self._free.append(lane)

    def _open(self) -> Any:
        import openai

        http = openai.DefaultAsyncHttpxClient(
            base_url=str(self._root.base_url),
            timeout=self._timeout_s,
            verify=self._tls,
        )
        lane = self._root.copy(http_client=http)
        self._all.append(lane)
        return lane


def _certificates() -> ssl.SSLContext:
    """The usual certificates: those that the environment names, else certifi's."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context()
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
