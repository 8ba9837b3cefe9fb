"""An OpenAI-compatible server that misbehaves on purpose, for tests and benchmarks.

Run in a thread (``FaultyServer``). Faults are drawn by a seeded generator or come from a script.
It records every request that it answered in full, by its ``Idempotency-Key``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

FAULTS = ("429", "500", "reset", "stall", "half")


def letter_reply(body: dict[str, Any], model: str = "judge-1") -> dict[str, Any]:
    """A chat completion whose letter probabilities depend on the prompt only."""
    text = json.dumps(body["messages"])
    share = (int(hashlib.md5(text.encode()).hexdigest(), 16) % 98 + 1) / 100
    import math

    tops = [
        {"token": "m", "logprob": math.log(share), "bytes": [109]},
        {"token": "M", "logprob": math.log(1 - share), "bytes": [77]},
    ]
    tops.sort(key=lambda top: -top["logprob"])
    logprobs = {"content": [{**tops[0], "top_logprobs": tops}]} if body.get("logprobs") else None
    return completion(tops[0]["token"], finish="length", logprobs=logprobs, model=model)


def completion(
    text: str | None,
    *,
    finish: str = "stop",
    logprobs: Any = None,
    model: str = "judge-1",
    **message: Any,
) -> dict[str, Any]:
    """The JSON of one chat completion."""
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "logprobs": logprobs,
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101},
    }


class FaultyServer:
    """Answers ``/v1/chat/completions`` on a free local port.

    Args:
        reply: body of the answer to a request's JSON; may return ``(status, headers, body)``.
        fault_share: share of requests that get a random fault.
        script: faults of the first requests, in order (``"ok"`` for none).
        latency_s: time an answer takes; a stall takes ``stall_s``.
        limit: requests in flight above which the server answers 429 at once.
        retry_after: value of that header on 429.
        port: where it listens; 0: on a free port.
    """

    def __init__(
        self,
        reply: Callable[[dict[str, Any]], Any] = letter_reply,
        *,
        fault_share: float = 0.0,
        faults: Sequence[str] = FAULTS,
        script: Sequence[str] = (),
        latency_s: float = 0.0,
        stall_s: float = 3.0,
        limit: int | None = None,
        retry_after: str | None = None,
        seed: int = 0,
        port: int = 0,
    ) -> None:
        self.port = port
        self.reply = reply
        self.fault_share = fault_share
        self.faults = faults
        self.script = list(script)
        self.latency_s = latency_s
        self.stall_s = stall_s
        self.limit = limit
        self.retry_after = retry_after
        self.random = random.Random(seed)
        self.answered: Counter[str] = Counter()
        self.received: list[tuple[float, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: Counter[str] = Counter()
        self.models: list[dict[str, Any]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.keep_bodies = True

    def __enter__(self) -> FaultyServer:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _main(self, ready: threading.Event) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            server = await asyncio.start_server(
                self._connection, "127.0.0.1", self.port, backlog=1024
            )
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await self._stop.wait()
            server.close()

        asyncio.run(serve())

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)
        }
        if lines[0].startswith("GET "):
            await self._send(writer, 200, {"object": "list", "data": self.models})
            return True
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        key = headers.get("idempotency-key", "")
        self.received.append((time.monotonic(), key))
        body = json.loads(raw) if raw else {}
        if self.keep_bodies:
            self.bodies.append(body)
            self.headers.append(headers)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(writer, lines[0], key, body)
        finally:
            self.in_flight -= 1

    def _draw(self) -> str:
        if self.script:
            return self.script.pop(0)
        if self.random.random() < self.fault_share:
            return self.random.choice(list(self.faults))
        return "ok"

    async def _answer(
        self, writer: asyncio.StreamWriter, line: str, key: str, body: dict[str, Any]
    ) -> bool:
        if self.limit is not None and self.in_flight > self.limit:
            self.statuses["limit"] += 1
            return await self._send(writer, 429, {"error": {"message": "too many requests"}})
        fault = self._draw()
        self.statuses[fault] += 1
        if fault == "stall":
            await asyncio.sleep(self.stall_s)
            return False
        await asyncio.sleep(self.latency_s)
        if fault == "reset":
            writer.transport.abort()
            return False
        if fault in ("429", "500", "503"):
            error = {"error": {"message": f"scripted {fault}", "type": "server"}}
            return await self._send(writer, int(fault), error)
        answer = self.reply(body)
        status, extra, content = answer if isinstance(answer, tuple) else (200, {}, answer)
        if fault == "half":
            text = json.dumps(content).encode()
            writer.write(_head(200, len(text)) + text[: len(text) // 2])
            await writer.drain()
            return False
        if fault == "trickle":
            writer.write(_head(200, 1000))
            for _ in range(100):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
            return False
        if fault == "cut-json":
            return await self._send_text(writer, 200, json.dumps(content)[:-20].encode(), {})
        if status == 200:
            self.answered[key] += 1  # before the client can have it and look
        return await self._send(writer, status, content, extra)

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        content: Any,
        extra: dict[str, str] | None = None,
    ) -> bool:
        headers = dict(extra or {})
        if status == 429 and self.retry_after is not None:
            headers["Retry-After"] = self.retry_after
        return await self._send_text(writer, status, json.dumps(content).encode(), headers)

    async def _send_text(
        self, writer: asyncio.StreamWriter, status: int, text: bytes, headers: dict[str, str]
    ) -> bool:
        writer.write(_head(status, len(text), headers) + text)
        await writer.drain()
        return True


def _head(status: int, length: int, headers: dict[str, str] | None = None) -> bytes:
    extra = "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        f"{extra}\r\n"
    ).encode()
