"""An OpenAI-compatible server for one local model, for machines without vLLM: ``--judge hf:DIR``.

It answers ``/v1/chat/completions`` through the hf engine, one request at a time. The alternatives of
a one-token reply are the letters that weighted preferences compare, with their true
log-probabilities.

    python -m harness.engines.chat_server MODEL PORT [NAME]
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from groundwork.sampling_params import SamplingParams
from harness.engines import EngineSettings, open_engine
from harness.engines.base import Engine

LETTERS = ("m", "M")
MOST_TOKENS = 2048


def answer(engine: Engine, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The chat completion for a request's JSON.

    Raises:
        ValueError: no messages, or parameters of another type.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("'messages' has to be a list of messages")
    limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or 256)
    params = SamplingParams(
        max_new_tokens=min(limit, MOST_TOKENS),
        temperature=float(body.get("temperature", 0.0)),
        top_p=float(body.get("top_p", 1.0)),
    )
    logprobs = None
    if body.get("logprobs"):
        found = engine.logprobs([messages] * len(LETTERS), LETTERS)
        tops = [
            {"token": letter, "logprob": one.total, "bytes": list(letter.encode())}
            for letter, one in zip(LETTERS, found, strict=True)
        ]
        tops.sort(key=lambda top: -float(str(top["logprob"])))
        logprobs = {"content": [{**tops[0], "top_logprobs": tops}]}
    [written] = engine.chat([messages], params, seeds=[int(body.get("seed") or 0)])
    return {
        "id": "local",
        "object": "chat.completion",
        "created": 0,
        "model": name,
        "choices": [
            {
                "index": 0,
                "finish_reason": "length" if written.truncated else "stop",
                "message": {"role": "assistant", "content": written.text},
                "logprobs": logprobs,
            }
        ],
        "usage": {
            "prompt_tokens": written.prompt_tokens,
            "completion_tokens": written.completion_tokens,
            "total_tokens": written.prompt_tokens + written.completion_tokens,
        },
    }


def serve(engine: Engine, name: str, port: int) -> None:
    """Answer until the process ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": name, "object": "model"}]})

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            try:
                with lock:
                    self._send(200, answer(engine, name, json.loads(raw)))
            except (ValueError, TypeError) as error:
                self._send(400, {"error": {"message": str(error)}})

        def _send(self, status: int, content: dict[str, Any]) -> None:
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    model, port = sys.argv[1], int(sys.argv[2])
    serve(open_engine(EngineSettings(kind="hf"), model), (sys.argv[3:] or [model])[0], port)
