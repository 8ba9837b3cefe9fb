"""Replies of a hostile or broken judge's server, as bytes of HTTP, by name."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

ELSEWHERE = "http://198.51.100.7/v1/chat/completions"


def http(
    body: bytes, status: str = "200 OK", headers: dict[str, str] | None = None, length: str = ""
) -> bytes:
    """One HTTP answer."""
    extra = "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length or len(body)}\r\n{extra}\r\n".encode("latin-1") + body


def completion(content: Any = "no verdict", **choice: Any) -> dict[str, Any]:
    """A chat completion without a verdict."""
    message = {"role": "assistant", "content": content}
    usage = {"prompt_tokens": 10, "completion_tokens": 1}
    one = {"index": 0, "message": message, "finish_reason": "stop", **choice}
    return {"model": "judge-1", "choices": [one], "usage": usage}


def _logprobs(rows: Any) -> dict[str, Any]:
    return completion("m", logprobs={"content": [{"token": "m", "top_logprobs": rows}]})


def _json_cases() -> Iterator[tuple[str, Any]]:
    for value in (None, [], [1], "text", 3, True, {}):
        yield f"body {value!r}", value
    for value in (None, [], {}, "", "m", 7, [None], [1], ["m"], [[]], [{}], [{"message": 3}]):
        yield f"choices {value!r}", {"choices": value}
    for content in (
        3,
        True,
        {},
        {"text": "m"},
        [None],
        [{"text": 3}],
        [["m"]],
        "",
        "\x00",
        "\ud800",
    ):
        yield f"content {content!r}", completion(content)
    for logprob in ("0", None, [], {}, True, 5, 1e308, -1e308, "NaN"):
        rows = [{"token": "m", "logprob": logprob}, {"token": "M", "logprob": logprob}]
        yield f"logprob {logprob!r}", _logprobs(rows)
    for rows in (None, 3, "mM", {"m": -1}, [None], [[]], [{"token": None, "logprob": -1}]):
        yield f"alternatives {rows!r}", _logprobs(rows)
    for usage in (None, [], "many", {"prompt_tokens": "1", "completion_tokens": []},
                  {"prompt_tokens": -5, "completion_tokens": -1},
                  {"prompt_tokens": 1e30, "completion_tokens": 10**30},
                  {"prompt_tokens": True, "completion_tokens": None}):  # fmt: skip
        yield f"usage {usage!r}", {**completion(), "usage": usage}
    for model in (
        None,
        3,
        [],
        {"a": []},
        "x" * 1_000_000,
        "\x1b[31mred\x1b[2J",
        "\ud800",
        "a\r\nb",
    ):
        yield f"model {str(model)[:12]!r}", {**completion(), "model": model}
    ours = {"given_preference": 2.0, "value": 2, "state": "ok", "verdict": 2}
    yield "fields of ours in the choice", completion("", **ours)
    yield "fields of ours in the body", {**completion(""), **ours, "origin": "import:jsonl"}
    yield "finish reason an object", completion("", finish_reason={"a": "content_filter"})
    yield "refusal an object", {"choices": [{"message": {"refusal": [[[]]], "content": None}}]}
    yield "an error inside a success", {"error": {"message": "\x1b]0;x\x07" + "e" * 10**5}}
    yield "a rating without an end", completion("[[" + "9" * 500_000)
    yield "brackets", completion("[" * 500_000)
    yield "tags", completion("<think>" * 70_000)
    yield "a text of 3 MB", completion("x" * 3_000_000)


def _text_cases() -> Iterator[tuple[str, bytes]]:
    good = json.dumps(_logprobs([{"token": "m", "logprob": -0.1}])).encode()
    for number in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5000):
        yield f"number {number[:10].decode()}", good.replace(b"-0.1", number)
        usage = (
            json.dumps(completion())
            .encode()
            .replace(b'"prompt_tokens": 10', b'"prompt_tokens": ' + number)
        )
        yield f"tokens {number[:10].decode()}", usage
    for depth in (100, 990, 5000, 200_000):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        yield f"nested {depth}", nested
        yield f"content nested {depth}", b'{"choices": [{"message": {"content": ' + nested + b"}}]}"
    yield "half a million lists", b'{"choices": [' + b"[]," * 500_000 + b"1]}"
    yield "two million numbers", b'{"choices": [' + b"1," * 2_000_000 + b"1]}"
    yield "20 MB", b'{"choices": "' + b"x" * 20_000_000 + b'"}'
    yield from (("html", b"<html>502</html>"), ("nothing", b""), ("spaces", b" " * 1000),
                       ("invalid UTF-8", b'{"choices": "\xff\xfe'), ("UTF-16", '{"a": 1}'.encode("utf-16")),
                       ("a byte-order mark", b"\xef\xbb\xbf{}"), ("cut", good[:40]), ("twice", good + good),
                       ("a stream of events", b"data: " + good + b"\n\ndata: [DONE]\n\n"),
                       ("zero bytes", bytes(1000)), ("python", b"{'choices': []}"))  # fmt: skip


def _wire_cases() -> Iterator[tuple[str, bytes, Any]]:
    good = json.dumps(completion()).encode()
    for name, raw in (
        ("no HTTP", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), ("empty answer", b""), ("status 0", http(good, "0 X")),
        ("status 999", http(good, "999 X")), ("status text", http(good, "abc X")),
        ("version", b"HTTP/9.9 200 OK\r\n\r\n{}"), ("header without a colon", b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n{}"),
        ("header of zero bytes", http(good, headers={"X": "\x00"})),
        ("header of 1 MB", http(good, headers={"X": "y" * 1_000_000})),
        ("length negative", http(good, length="-5")), ("length a word", http(good, length="many")),
        ("length too long", http(good, length="99999")), ("length huge", http(good, length="9" * 400)),
        ("two lengths", http(good, headers={"Content-length": "3"})),
        ("bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
        ("negative chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n"),
        ("gzip that is none", http(good, headers={"Content-Encoding": "gzip"})),
        ("gzip cut", http(gzip.compress(good)[:-9], headers={"Content-Encoding": "gzip"})),
        ("gzip bomb", http(gzip.compress(bytes(200_000_000), 9), headers={"Content-Encoding": "gzip"})),
        ("deflate bomb", http(zlib.compress(bytes(100_000_000), 9), headers={"Content-Encoding": "deflate"})),
        ("brotli", http(good, headers={"Content-Encoding": "br"})),
        ("to another host", http(b"", "307 X", {"Location": ELSEWHERE})),
        ("to another host for good", http(b"", "308 X", {"Location": ELSEWHERE})),
        ("a page", http(b"", "302 X", {"Location": "/login"})), ("nowhere", http(b"", "307 X")),
        ("to no address", http(b"", "307 X", {"Location": "http://[::1"})),
        ("a circle", http(b"", "307 X", {"Location": "/v1/chat/completions"})),
        ("unauthorized once", http(b"{}", "401 X")), ("forbidden once", http(b"{}", "403 X")),
        ("not found once", http(b"<html>", "404 X")), ("method", http(b"", "405 X")),
        ("bad request", http(b'{"error": [[[[]]]]}', "400 X")), ("teapot", http(b"", "418 X")),
        ("no content", b"HTTP/1.1 204 X\r\n\r\n"), ("continue", b"HTTP/1.1 100 C\r\n\r\n" * 2000),
        ("500 nested", http(b'{"error":' * 900 + b"1" + b"}" * 900, "500 X")),
        ("500 with escapes", http(b'{"error": {"message": "\x1b[2J\xff"}}', "500 X")),
    ):  # fmt: skip
        yield name, raw, None
    for wait in ("nan", "inf", "-5", "1e308", "9" * 300, "soon", "", "Fri, 31 Dec 9999 23:59:59 GMT",
                 "99999999", "0x10", "1,5", "Mon, 99 Foo 0000 99:99:99 +9999"):  # fmt: skip
        yield f"Retry-After {wait[:12]}", http(b"{}", "429 X", {"Retry-After": wait}), None
    yield "endless body", b"HTTP/1.1 200 OK\r\n\r\n{", b"x" * 65536
    yield (
        "endless chunks",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"4\r\nxxxx\r\n" * 4000,
    )
    yield "endless headers", b"HTTP/1.1 200 OK\r\n", b"X-A: y\r\n" * 4000
    yield "one byte at a time", http(b"{", length="1000"), b" "
    yield "silence", b"", b""


def cases() -> dict[str, tuple[bytes, Any]]:
    """Name to (bytes to send, piece to repeat until the client hangs up or ``None``)."""
    found: dict[str, tuple[bytes, Any]] = {}
    for name, value in _json_cases():
        found[f"json: {name}"] = (http(json.dumps(value).encode()), None)
    for name, text in _text_cases():
        found[f"text: {name}"] = (http(text), None)
    for name, raw, piece in _wire_cases():
        found[f"wire: {name}"] = (raw, piece)
    return found
