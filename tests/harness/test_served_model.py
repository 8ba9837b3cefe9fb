"""A model that only a server has: evaluated without weights, refused for what needs them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.config import load_config
from harness.served_model import check_served, is_served, served_model
from tests.end_to_end.conftest import Call, call
from tests.harness.engines.test_openai import Server

__all__ = ["call"]
SERVED = ("--engine", "openai", "-b", "gsm8k/community,math/quick", "--limit", "2")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", "key-from-environment")
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    yield server
    server.shutdown()
    server.server_close()


def test_a_served_model_is_evaluated_by_messages(
    server: Server, call: Call, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = call("eval", "vendor/m-1", *SERVED, "-o", run)
    assert done.code == 0, done.err
    asked = [request for _, request, _ in server.seen]
    chats = [request for request in asked if "messages" in request]
    assert (len(asked), len(chats)) == (6, 3), "a check by chat and by text, two items of each"
    assert {request["model"] for request in asked} == {"vendor/m-1"}
    assert json.loads((run / "run.json").read_text())["model_source"] == "server"
    scores = [json.loads(file.read_text()) for file in run.rglob("scores.json")]
    whole = {score["benchmark"] for group in scores for score in group if score["n"] == 2}
    assert whole == {"gsm8k", "math"}

    assert call("eval", "vendor/m-1", *SERVED, "-o", run).code == 0
    assert len(server.seen) == 6, "a finished evaluation asks nothing"


def test_a_server_without_the_model_stops_before_the_start(
    server: Server, call: Call, tmp_path: Path
) -> None:
    server.plan = [(404, "no such model")]
    done = call("eval", "vendor/m-2", *SERVED, "-o", tmp_path / "run")
    assert done.code == 2
    assert "has no model vendor/m-2" in done.err
    assert not list((tmp_path / "run").rglob("stage.json"))


def test_what_needs_weights_is_refused_in_a_line_each() -> None:
    base = ["engine.kind=openai", "model=vendor/m-1"]
    config = load_config("quickstart", base)
    assert is_served(config, "vendor/m-1")
    with pytest.raises(UserError) as caught:
        check_served(config, ["alpaca_eval"])
    training, logprobs, judge = str(caught.value).splitlines()
    assert "training needs the weights" in training
    assert "gpqa, mmlu_pro read by this protocol" in logprobs
    assert "--benchmarks alpaca_eval,mt_bench,math,gsm8k" in logprobs
    assert judge.endswith("--judge NAME for alpaca_eval")


def test_the_address_is_part_of_the_fingerprint_its_secrets_are_not() -> None:
    def found(url: str) -> str:
        config = load_config(
            "suite", ["engine.kind=openai", f"engine.base_url={url}", "judge.name=j"]
        )
        return served_model(config, "m", []).fingerprint

    assert found("http://a.example/v1?key=1") == found("http://a.example/v1?key=2")
    assert found("http://a.example/v1") != found("http://b.example/v1")


def test_a_folder_is_no_served_model(tmp_path: Path) -> None:
    config = load_config("quickstart", ["engine.kind=openai"])
    assert not is_served(config, str(tmp_path))
    assert not is_served(load_config("quickstart", []), "vendor/m-1")
