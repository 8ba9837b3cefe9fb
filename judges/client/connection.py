"""One server over HTTP: where a request goes, and how much of an answer is taken.

Plain aiohttp and not the ``openai`` package: replies are kept as the raw JSON that came, and their
size, their total time and their redirects have to be bounded here.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from judges.client.records import FatalServerError, Server
from judges.credentials import NO_KEY, OFFICIAL_URL, public_url

MOST_BYTES = 8 << 20
"""Of one reply. A long explained verdict with log-probabilities has less than 1 MB."""
MOST_HELD = 48 << 20
"""Of all replies that are being received at one time."""
READ_BUFFER = 1 << 15
REDIRECTS = 5


class NoReplyError(Exception):
    """No whole reply arrived: connection refused or cut, time-out, or an endless body."""


@dataclass(frozen=True)
class HttpReply:
    """Status, headers and body of one answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """The connections to one server; an asynchronous context manager."""

    def __init__(self, server: Server, timeout_s: float) -> None:
        self._url, self._account = _without_account((server.base_url or OFFICIAL_URL).rstrip("/"))
        self._server = server
        self._timeout_s = timeout_s
        self._session: Any = None
        self._held = 0

    async def __aenter__(self) -> Connection:
        import aiohttp

        self._session = aiohttp.ClientSession(
            headers=_headers(self._server.api_key) | self._account,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            connector=aiohttp.TCPConnector(limit=0),
            proxy=_proxy(self._url),
            auto_decompress=False,  # a compressed reply is unpacked here, up to the bound
            read_bufsize=READ_BUFFER,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str) -> HttpReply:
        """The answer to a GET request. Raises as ``post``."""
        return await self._request("GET", path, None, {})

    async def post(self, path: str, body: Mapping[str, Any], key: str) -> HttpReply:
        """The answer to a request with a JSON body and an idempotency key.

        Raises:
            NoReplyError: no whole answer.
            FatalServerError: the server redirects to another host; nothing was sent there.
        """
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return await self._request("POST", path, json.dumps(body).encode(), headers)

    async def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HttpReply:
        base, _, query = self._url.partition("?")
        url = f"{base.rstrip('/')}{path}" + (f"?{query}" if query else "")
        try:
            for _ in range(REDIRECTS):
                async with self._session.request(
                    method, url, data=body, headers=headers, allow_redirects=False
                ) as response:
                    body_bytes = await self._bounded(response)
                    reply = HttpReply(response.status, response.headers, body_bytes)
                if not 300 <= reply.status < 400:
                    return reply
                url = _same_host(url, reply)
        except (NoReplyError, FatalServerError):
            raise
        except TimeoutError:
            raise NoReplyError(f"no whole reply within {self._timeout_s:g} s") from None
        except asyncio.IncompleteReadError:
            raise NoReplyError("the connection was cut") from None
        except Exception as error:
            # Whatever the HTTP stack raises on what a server may send: no reply came.
            raise NoReplyError(str(error)[:300] or type(error).__name__) from None
        raise FatalServerError(f"{public_url(url)}: more than {REDIRECTS} redirects")

    async def _bounded(self, response: Any) -> bytes:
        """The body, unpacked, up to ``MOST_BYTES``; all replies together up to ``MOST_HELD``."""
        parts: list[bytes] = []
        size = 0
        try:
            async for part in response.content.iter_any():
                parts.append(part)
                size += len(part)
                self._held += len(part)
                if size > MOST_BYTES:
                    raise NoReplyError(f"the reply is longer than {MOST_BYTES >> 20} MB")
                if self._held > MOST_HELD and size > MOST_BYTES // 16:
                    raise NoReplyError("long replies to too many requests at one time")
            return _unpacked(b"".join(parts), response.headers.get("Content-Encoding", ""))
        except NoReplyError:
            response.close()
            raise
        finally:
            self._held -= size


def _without_account(url: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, and the header that takes them in place of a key."""
    parts = urlsplit(url)
    account, mark, place = parts.netloc.rpartition("@")
    if not mark:
        return url, {}
    packed = base64.b64encode(unquote(account).encode()).decode()
    return urlunsplit(parts._replace(netloc=place)), {"Authorization": f"Basic {packed}"}


def _proxy(url: str) -> str | None:
    """The proxy of the environment. Not aiohttp's ``trust_env``, which looks it up in a thread per
    request and takes credentials from ``.netrc``."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _headers(key: str) -> dict[str, str]:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": "sso-bench",
    }
    if key:
        headers["Authorization"] = f"Bearer {key}"
    for name, variable in (("Organization", "OPENAI_ORG_ID"), ("Project", "OPENAI_PROJECT_ID")):
        if key != NO_KEY and (value := os.environ.get(variable)):
            headers[f"OpenAI-{name}"] = value
    return headers


def _unpacked(data: bytes, encoding: str) -> bytes:
    """A body as it was before it was compressed (gzip, deflate).

    Raises:
        NoReplyError: it is longer than ``MOST_BYTES``, damaged, or packed in another way.
    """
    name = encoding.strip().lower()
    if not data or name in ("", "identity"):
        return data
    if name not in ("gzip", "x-gzip", "deflate"):
        raise NoReplyError("the reply is packed in a way that was not asked for")
    windows = (47,) if name != "deflate" else (zlib.MAX_WBITS, -zlib.MAX_WBITS)
    for bits in windows:
        unpacker = zlib.decompressobj(bits)
        with suppress(zlib.error):
            whole = unpacker.decompress(data, MOST_BYTES + 1)
            if len(whole) > MOST_BYTES:
                raise NoReplyError(f"the reply is longer than {MOST_BYTES >> 20} MB")
            if unpacker.eof:
                return whole
    raise NoReplyError("the packed reply is damaged")


def _same_host(url: str, reply: HttpReply) -> str:
    """Where a redirect leads.

    Raises:
        FatalServerError: to another host, or in a way that would drop the request's body.
    """
    target = urljoin(url, reply.headers.get("Location", ""))
    if urlsplit(url)[:2] != urlsplit(target)[:2]:
        raise FatalServerError(
            f"{public_url(url)} redirects to {public_url(target)}: prompts are not sent to another "
            "host (give its address as the judge's, if it is the right one)"
        )
    if reply.status not in (307, 308):
        raise FatalServerError(f"{public_url(url)}: unexpected redirect (HTTP {reply.status})")
    return target
