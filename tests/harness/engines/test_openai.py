"""The server engine against a local HTTP server that answers as OpenAI-compatible servers do."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from groundwork.sampling_params import SamplingParams
from harness.engines import (
    ContextTooLong,
    EngineError,
    EngineSettings,
    ResumableEngine,
    open_engine,
)
from harness.engines.openai import OpenAIEngine


class Server(ThreadingHTTPServer):
    """Answers with the last word of the prompt; ``plan`` holds status codes to answer first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: list[tuple[int, str]] = []
        self.echo = True
        self.seen: list[tuple[str, dict[str, Any], str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        entry = {"id": "m", "object": "model", "created": 0, "owned_by": "x", "max_model_len": 99}
        self._send(200, {"object": "list", "data": [entry]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, asked, self.headers["Authorization"]))
        if self.server.plan:
            status, message = self.server.plan.pop(0)
            self._send(status, {"error": {"message": message, "type": "x", "code": None}})
            return
        chat = self.path.endswith("/chat/completions")
        prompt = asked["messages"][-1]["content"] if chat else asked["prompt"]
        words = prompt.split()
        text = f"echo of {words[-1]} seed {asked.get('seed')}"
        limit = asked.get("max_tokens", asked.get("max_completion_tokens"))
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if limit < 5 else "stop"}
        if chat:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice |= {
                "text": text,
                "logprobs": self._logprobs(prompt) if asked.get("echo") else None,
            }
        usage = {
            "prompt_tokens": len(words),
            "completion_tokens": 5,
            "total_tokens": len(words) + 5,
        }
        kind = "chat.completion" if chat else "text_completion"
        self._send(
            200,
            {
                "id": "1",
                "object": kind,
                "created": 0,
                "model": "m",
                "choices": [choice],
                "usage": usage,
            },
        )

    def _logprobs(self, prompt: str) -> dict[str, Any] | None:
        """One token a character; 'z' is never the likeliest token, all else is."""
        if not self.server.echo:
            return None
        values = [None, *[-0.5 if c != "z" else -2.0 for c in prompt[1:]], -0.1]
        tops = [
            None,
            *[{c: v, "e": max(v, -0.5)} for c, v in zip(prompt[1:], values[1:], strict=False)],
        ]
        return {
            "tokens": [*prompt, "!"],
            "token_logprobs": values,
            "text_offset": list(range(len(prompt) + 1)),
            "top_logprobs": [*tops, {"!": -0.1}],
        }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", "key-from-environment")
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _engine(server: Server, **options: Any) -> OpenAIEngine:
    return OpenAIEngine("m", base_url=server.url, **options)


def test_chats_and_strings_go_to_their_endpoints(server: Server) -> None:
    engine = _engine(server)
    assert engine.max_length == 99
    chat = [{"role": "user", "content": "say blue"}]
    found = engine.chat(
        [chat, "plain red"], SamplingParams(9, temperature=0.5, top_p=0.9), seeds=[7, 1 << 40]
    )
    assert [c.text for c in found] == ["echo of blue seed 7", "echo of red seed 0"]
    assert [(c.prompt_tokens, c.completion_tokens, c.truncated) for c in found] == [
        (2, 5, False),
        (2, 5, False),
    ]
    by_path = {path: asked for path, asked, _ in server.seen}
    assert by_path["/v1/chat/completions"]["messages"] == chat
    assert by_path["/v1/completions"]["prompt"] == "plain red"
    assert by_path["/v1/completions"]["top_p"] == 0.9
    assert {key for _, _, key in server.seen} == {"Bearer key-from-environment"}


def test_a_rendered_chat_comes_back_as_messages(server: Server) -> None:
    engine = _engine(server)
    chat = [{"role": "system", "content": "Brief."}, {"role": "user", "content": "grün?"}]
    engine.chat([engine.render(chat)], SamplingParams(9))
    ((path, asked, _),) = server.seen
    assert (path, asked["messages"]) == ("/v1/chat/completions", chat)
    with pytest.raises(EngineError, match="only the server can render"):
        engine.chat([engine.render(chat) + " Answer:"], SamplingParams(9))


def test_order_and_concurrency(server: Server) -> None:
    engine = _engine(server, concurrency=8)
    order: list[int] = []
    found = engine.chat(
        [f"w{n}" for n in range(40)], SamplingParams(9), on_done=lambda i, _: order.append(i)
    )
    assert [c.text for c in found] == [f"echo of w{n} seed {n}" for n in range(40)]
    assert sorted(order) == list(range(40))


def test_truncation_and_stop(server: Server) -> None:
    engine = _engine(server)
    cut, limited = (
        engine.chat(["a b"], SamplingParams(9, stop=("1", "2", "3", "4", " of")))[0],
        engine.chat(["a b"], SamplingParams(3))[0],
    )
    assert (cut.text, cut.truncated) == ("echo", False)
    assert server.seen[0][1]["stop"] == ["1", "2", "3", "4"]
    assert limited.truncated


def test_failures_are_retried(server: Server) -> None:
    server.plan = [(500, "down"), (429, "slow down")]
    (found,) = _engine(server, max_retries=3).chat(["a b"], SamplingParams(9))
    assert found.text == "echo of b seed 0"
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (401, "bad key", "refuses the key in OPENAI_API_KEY"),
        (404, "no such model", "has no model m"),
        (400, "temperature must be\n positive", "refuses item 0: .*temperature must be"),
        (503, "overloaded", "does not answer"),
    ],
)
def test_errors_are_one_line(server: Server, status: int, message: str, expected: str) -> None:
    server.plan = [(status, message)] * 5
    with pytest.raises(EngineError, match=expected) as caught:
        _engine(server, max_retries=0).chat(["a"], SamplingParams(9))
    assert "\n" not in str(caught.value)


def test_context_error(server: Server) -> None:
    server.plan = [(400, "This model's maximum context length is 99 tokens")]
    with pytest.raises(ContextTooLong):
        _engine(server).chat(["a"], SamplingParams(9))


def test_newer_name_of_the_token_limit(server: Server) -> None:
    server.plan = [(400, "Unsupported parameter: use 'max_completion_tokens' instead")]
    (found,) = _engine(server).chat([[{"role": "user", "content": "hi"}]], SamplingParams(9))
    assert found.text == "echo of hi seed 0"
    assert server.seen[-1][1]["max_completion_tokens"] == 9


def test_unreachable_server_and_missing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(EngineError, match="set OPENAI_API_KEY"):
        OpenAIEngine("m")
    engine = OpenAIEngine("m", base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(EngineError, match="does not answer"):
        engine.chat(["a"], SamplingParams(1))


def test_finished_answers_survive_a_failure(server: Server, tmp_path: Path) -> None:
    prompts = [f"w{n}" for n in range(6)]
    server.plan = []
    journal = tmp_path / "j.jsonl"
    ResumableEngine(_engine(server), journal).chat(prompts[:4], SamplingParams(9))
    server.plan = [(400, "no")] * 2
    with pytest.raises(EngineError):
        ResumableEngine(_engine(server, max_retries=0), journal).chat(prompts, SamplingParams(9))
    server.plan, server.seen = [], []
    found = ResumableEngine(_engine(server), journal).chat(prompts, SamplingParams(9))
    assert len(found) == 6
    assert len(server.seen) == 2


def test_logprobs_by_echo(server: Server) -> None:
    found = _engine(server).logprobs(["abc ", "abc"], ["xy", "z"])
    # The context's space belongs to the continuation: three characters at -0.5, then one 'z'.
    assert found[0].total == pytest.approx(-1.5)
    assert (found[0].tokens, found[0].greedy) == (3, True)
    assert math.isclose(found[1].total, -2.0)
    assert not found[1].greedy


def test_logprobs_that_cannot_be_had(server: Server) -> None:
    engine = _engine(server)
    with pytest.raises(EngineError, match="need the chat template"):
        engine.logprobs([[{"role": "user", "content": "x"}]], ["y"])
    server.echo = False
    with pytest.raises(EngineError, match="gives no log-probabilities of prompts"):
        engine.logprobs(["x"], ["y"])


def test_a_local_folder_as_model_name_renders_here(server: Server, tiny_model_dir: Path) -> None:
    engine = open_engine(EngineSettings(kind="openai", base_url=server.url), tiny_model_dir)
    text = engine.render([{"role": "user", "content": "hi"}])
    assert text.startswith("<|im_start|>user\nhi")
    assert engine.count_tokens("abc") == 3
    assert engine.model_hash != OpenAIEngine("m", base_url=server.url).model_hash


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": {"message": "out of capacity"}}, "out of capacity"),
        ({"choices": []}, "no choices"),
        (
            {"choices": [{"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": "half"}}]},
            "error",
        ),
    ],
)  # fmt: skip
def test_a_success_without_an_answer_is_an_error_with_the_server_s_reason(
    body: dict[str, Any], reason: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = OpenAIEngine("m", base_url=server.url)
    monkeypatch.setattr(Handler, "do_POST", lambda self: self._send(200, body))
    with pytest.raises(EngineError, match=f"gives no answer to item 0: .*{reason}"):
        engine.chat([[{"role": "user", "content": "q"}]], SamplingParams(8))
