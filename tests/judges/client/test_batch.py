"""The batch API against a small server that implements files and batches."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from judges import BudgetError, JudgeError, JudgeSettings, open_judge
from judges.client import ClientSettings
from judges.server import ServerJudge
from judges.store import VerdictStore
from tests.judges.faulty_server import letter_reply
from tests.judges.judge_examples import PRICES, comparisons, expected


class BatchServer:
    """Takes uploaded requests, answers a batch after it was looked at ``looks`` times."""

    def __init__(self, *, looks: int = 1, unanswered: int = 0, outcome: str = "completed") -> None:
        self.looks = looks
        self.unanswered = unanswered
        self.outcome = outcome
        self.files: dict[str, str] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.answered: Counter[str] = Counter()
        self.faults: list[int] = []

    def __enter__(self) -> BatchServer:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                owner.answer(self, "GET", b"")

            def do_POST(self) -> None:
                owner.answer(self, "POST", self.rfile.read(int(self.headers["content-length"])))

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def answer(self, handler: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        status, content = (
            (self.faults.pop(0), {"error": {"message": "x"}})
            if self.faults
            else (
                200,
                self.route(method, handler.path.partition("?")[0], body),
            )
        )
        text = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def route(self, method: str, path: str, body: bytes) -> Any:
        if (method, path) == ("POST", "/v1/files"):
            name = f"file-{len(self.files)}"
            self.files[name] = "\n".join(
                line for line in body.decode().splitlines() if line.startswith('{"custom_id"')
            )
            return {"id": name, "object": "file"}
        if (method, path) == ("POST", "/v1/batches"):
            asked = json.loads(body)
            name = f"batch-{len(self.batches)}"
            self.batches[name] = {"id": name, "status": "in_progress", "looked": 0, **asked}
            return self.batches[name]
        if path == "/v1/batches":
            return {"object": "list", "data": list(self.batches.values())}
        if found := re.fullmatch(r"/v1/batches/(.+)", path):
            return self.look(self.batches[found.group(1)])
        name = path.split("/")[3]
        return self.files[name]

    def look(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch["looked"] += 1
        if batch["status"] == "in_progress" and batch["looked"] > self.looks:
            batch["status"] = self.outcome
            if self.outcome == "failed":
                batch["errors"] = {"data": [{"message": "no such model"}]}
                return batch
            lines = self.files[batch["input_file_id"]].splitlines()
            lines = lines[: len(lines) - self.unanswered]
            name = f"{batch['id']}-out"
            self.files[name] = "\n".join(map(self.reply, lines))
            batch["output_file_id"] = name
        return batch

    def reply(self, line: str) -> str:
        asked = json.loads(line)
        self.answered[asked["custom_id"]] += 1
        response = {"status_code": 200, "body": letter_reply(asked["body"])}
        return json.dumps({"custom_id": asked["custom_id"], "response": response})


def batch_judge(server: BatchServer, tmp_path: Path, **settings: Any) -> ServerJudge:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    quick = ClientSettings(backoff_s=0.01, batch_poll_s=0.01)
    asked = {"max_cost": 1.0, **settings}
    judge = open_judge(
        JudgeSettings("judge-1", server.url, prices=prices, batch=True, client=quick, **asked),
        tmp_path / "v.sqlite",
    )
    assert isinstance(judge, ServerJudge)
    return judge


def test_verdicts_for_half_the_price(tmp_path: Path) -> None:
    items = comparisons(10)
    with BatchServer() as server:
        judge = batch_judge(server, tmp_path)
        verdicts = judge.preferences(items)
        assert [v.value for v in verdicts] == expected(items)
        assert sum(server.answered.values()) == 10
        # 100 prompt tokens at $10, 1 completion token at $30 a million, half of it.
        assert judge.spent()["cost_usd"] == pytest.approx(10 * 0.00103 / 2)
        assert all(v.cached for v in judge.preferences(items))
        assert len(server.batches) == 1
    assert {row.origin for row in VerdictStore(tmp_path / "v.sqlite").rows()} == {"batch"}


def test_a_killed_run_finds_its_batch_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = comparisons(6)
    with BatchServer() as server:
        # Killed right after handing in: the store knows the batch, nothing was collected.
        with monkeypatch.context() as patch:
            patch.setattr("judges.client.batch.BatchClient._collect", _killed)
            with pytest.raises(KeyboardInterrupt):
                batch_judge(server, tmp_path).preferences(items)
        assert len(server.batches) == 1
        verdicts = batch_judge(server, tmp_path).preferences(items)
        assert [v.value for v in verdicts] == expected(items)
        assert len(server.batches) == 1
        assert max(server.answered.values()) == 1


def test_a_batch_that_was_created_but_not_noted_is_adopted(tmp_path: Path) -> None:
    items = comparisons(4)
    with BatchServer() as server:
        judge = batch_judge(server, tmp_path)
        judge.preferences(items)
        store = VerdictStore(tmp_path / "v.sqlite")
        store.delete([row.key for row in store.rows()])
        batch_judge(server, tmp_path).preferences(items)
        assert len(server.batches) == 1


async def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_faults_of_the_control_calls_are_mended(tmp_path: Path) -> None:
    with BatchServer() as server:
        server.faults = [500, 429, 503]
        assert len(batch_judge(server, tmp_path).preferences(comparisons(3))) == 3


def test_unanswered_requests_are_errors_and_asked_again_later(tmp_path: Path) -> None:
    with BatchServer(unanswered=2) as server:
        states = [v.state for v in batch_judge(server, tmp_path).preferences(comparisons(5))]
        assert states == ["ok"] * 3 + ["error"] * 2
        server.unanswered = 0
        states = [v.state for v in batch_judge(server, tmp_path).preferences(comparisons(5))]
        assert states == ["ok"] * 5
        assert max(server.answered.values()) == 1


def test_a_refused_batch_and_a_short_budget(tmp_path: Path) -> None:
    with BatchServer(outcome="failed") as server:
        with pytest.raises(JudgeError, match="refused the batch: no such model"):
            batch_judge(server, tmp_path).preferences(comparisons(2))
        with pytest.raises(BudgetError):
            batch_judge(server, tmp_path, max_cost=0.001).preferences(comparisons(50))
        assert len(server.batches) == 1
