"""Answers are judged while others are written: same figures, each verdict asked for once and counted once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engines.fake import FakeEngine
from judges.server import ServerJudge
from tests.end_to_end.conftest import Call, small
from tests.end_to_end.test_judged import answered, any_reply
from tests.judges.faulty_server import FaultyServer, completion

BENCHMARKS = ("alpaca_eval", "mt_bench", "arena_hard")


def reply(body: dict[str, Any]) -> dict[str, Any]:
    """As ``any_reply``; Arena-Hard's five steps too."""
    five_way = "[[A>>B]]" in json.dumps(body["messages"])
    return completion("My final verdict is: [[A>B]]") if five_way else any_reply(body)


def results(out: Path) -> dict[str, bytes]:
    """What scoring wrote, without files that hold times."""
    names = ("outputs.jsonl", "annotations.json", "battles.jsonl", "items.jsonl", "scores.jsonl")
    files = [f for name in names for f in sorted(out.rglob(name))]
    assert len(files) >= 8
    return {str(f.relative_to(out)): f.read_bytes() for f in files}


def judge_facts(out: Path) -> Any:
    """What the run says of its judge's work."""
    facts = json.loads((out / "run.json").read_text())["judge"]
    assert facts["calls"] > 0
    return facts


@pytest.fixture
def before_the_last(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has a function called before the last answer of each call of the engine."""

    def install(function: Callable[[], None]) -> None:
        chat = FakeEngine.chat

        def slow(self: FakeEngine, prompts: Any, params: Any, **options: Any) -> Any:
            tell, done = options.pop("on_done"), []
            found = chat(self, prompts, params, on_done=lambda *a: done.append(a), **options)
            for number, result in enumerate(done, 1):
                if number == len(done):
                    function()
                tell(*result)
            return found

        monkeypatch.setattr(FakeEngine, "chat", slow)

    return install


def test_figures_are_those_of_judging_afterwards(
    call: Call,
    tiny_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before_the_last: Callable[[Callable[[], None]], None],
) -> None:
    def line(out: Path, server: FaultyServer) -> list[str]:
        few = small(tiny_model_dir, out, "-b", ",".join(BENCHMARKS))
        return ["eval", few[1], *few[2:], "--judge", "judge-1", "--judge-url", server.url]

    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache-1"))
    with FaultyServer(reply, latency_s=0.01) as server, monkeypatch.context() as patch:
        patch.setattr(ServerJudge, "ahead", lambda self: None)
        done = call(*line(tmp_path / "after", server))
        assert done.code == 0, done.err
        port, after = server.port, answered(server)
        assert set(server.answered.values()) == {1}

    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache-2"))
    seen: list[int] = []

    def judged_meanwhile() -> None:
        known, until = seen[-1] if seen else 0, time.monotonic() + 30
        while answered(server) <= known:
            assert time.monotonic() < until, "nothing was judged while answers were written"
            time.sleep(0.01)
        seen.append(answered(server))

    with FaultyServer(reply, latency_s=0.01, port=port) as server:
        before_the_last(judged_meanwhile)
        done = call(*line(tmp_path / "ahead", server))
        assert done.code == 0, done.err
        assert answered(server) == after
        assert set(server.answered.values()) == {1}
    assert len(seen) >= len(BENCHMARKS)
    assert results(tmp_path / "ahead") == results(tmp_path / "after")
    assert judge_facts(tmp_path / "ahead") == judge_facts(tmp_path / "after")
