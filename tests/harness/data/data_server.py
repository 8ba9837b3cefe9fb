"""A small HTTP server on this machine that stands in for the hub and GitHub, and can misbehave."""

from __future__ import annotations

import hashlib
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.data import fetch

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@dataclass
class Server:
    """``files`` by path; ``cut`` closes the connection after so many bytes of the next answers;
    ``statuses`` are given instead of the next answers; ``gated`` paths need ``token``; after
    ``broken_after`` downloads every answer is 500."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    gated: set[str] = field(default_factory=set)
    token: str = "right"
    redirects: dict[str, str] = field(default_factory=dict)
    tokens: list[str | None] = field(default_factory=list)
    broken_after: int | None = None
    commit: str = "c0ffee"
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            span, token = self.headers.get("Range"), self.headers.get("Authorization")
            server.tokens.append(token)
            if self.command == "GET":
                server.asked.append((self.path, span, token))
            if self.path in server.gated and token != f"Bearer {server.token}":
                self._empty(403 if token else 401)
            elif server.statuses:
                self._empty(server.statuses.pop(0))
            elif server.broken_after is not None and len(server.asked) > server.broken_after:
                self._empty(500)
            elif self.path in server.redirects:
                linked = {"X-Linked-Etag": '"tag"'}
                self._empty(302, Location=server.redirects[self.path], **linked)
            elif self.path not in server.files:
                self._empty(404)
            else:
                self._send(server.files[self.path], span)

        def _empty(self, status: int, **headers: str) -> None:
            self.send_response(status)
            self.send_header("X-Repo-Commit", server.commit)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, content: bytes, span: str | None) -> None:
            tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
            start = int(span.split("=")[1].rstrip("-")) if span else 0
            if self.headers.get("If-Range", tag) != tag:
                start, span = 0, None
            if span and start >= len(content):
                self._empty(416)
                return
            self.send_response(206 if span else 200)
            self.send_header("ETag", tag)
            self.send_header("X-Repo-Commit", server.commit)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:] if self.command == "GET" else b""
            if body and server.cut:
                body = body[: server.cut.pop(0)]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def serving() -> Iterator[Server]:
    """A server for the time of the block."""
    server = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that both hosts' addresses point to, and a user without a token."""
    with serving() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("SSO_BENCH_GITHUB", running.url)
        monkeypatch.setenv("HF_TOKEN_PATH", "/nonexistent")
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", *PROXIES):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(fetch, "PAUSE_S", 0.0)
        patient = types.SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
        monkeypatch.setattr("huggingface_hub.utils._http.time", patient)
        yield running
