"""The server judge: states, re-asks, both orders, and what is said before money is spent."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from judges import Comparison, JudgeError, JudgeSettings, Rating, open_judge
from judges.client import ClientSettings
from judges.server import ServerJudge
from tests.judges.faulty_server import FaultyServer, completion, letter_reply
from tests.judges.judge_examples import comparisons, judge_on


def rating_item(text: str, item_id: str = "1") -> Rating:
    return Rating(item_id=item_id, category="writing", turns=("Write.", text))


def scripted(replies: dict[str, list[Any]]) -> Any:
    """Replies by a word in the first user message, one after the other."""

    def reply(body: dict[str, Any]) -> Any:
        user = next(m["content"] for m in body["messages"] if m["role"] == "user")
        word = next(word for word in replies if word in user)
        return replies[word].pop(0)

    return reply


def test_pairwise_values_are_mapped_back(tmp_path: Path) -> None:
    """A judge that always says A prefers each output once; one that reads prefers the good one."""
    items = [Comparison(item_id="1", instruction="q", output_1="bad text", output_2="good text")]

    def reads(body: dict[str, Any]) -> Any:
        text = body["messages"][1]["content"]
        return completion("[[A]]" if text.index("good") < text.index("bad") else "[[B]]")

    with FaultyServer(lambda _: completion("[[A]]")) as server:
        [(first, second)] = judge_on(server, tmp_path / "a.sqlite").pairwise(items)
        assert (first.value, second.value) == (1.0, 2.0)
        assert (first.swapped, second.swapped) == (False, True)
    with FaultyServer(reads) as server:
        [(first, second)] = judge_on(server, tmp_path / "b.sqlite").pairwise(items)
        assert (first.value, second.value) == (2.0, 2.0)


def test_equal_outputs_are_a_tie_without_a_call(tmp_path: Path) -> None:
    items = [Comparison(item_id="1", instruction="q", output_1="same", output_2="same")]
    with FaultyServer() as server:
        [verdict] = judge_on(server, tmp_path / "v.sqlite").preferences(items)
        assert verdict.value == 1.5
        assert server.received == []


def test_parsed_letters(tmp_path: Path) -> None:
    with FaultyServer(lambda _: completion("M")) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", letters="parsed")
        judge.check()
        verdicts = judge.preferences(comparisons(6))
    assert {v.value for v in verdicts} == {1.0, 2.0}
    assert all("parsed" in v.protocol for v in verdicts)
    assert all("logprobs" not in body for body in server.bodies)


# Before money is spent


def test_check_asks_each_time_and_learns_the_snapshot(tmp_path: Path) -> None:
    with FaultyServer(lambda b: letter_reply(b, "judge-1-2024-05-01")) as server:
        for n in (1, 2):
            judge = judge_on(server, tmp_path / "v.sqlite")
            judge.check()
            assert len(server.received) == n
        assert judge.snapshot.endswith("=judge-1-2024-05-01")
        assert judge.preferences(comparisons(1))[0].judge == judge.snapshot


def test_a_server_without_log_probabilities_is_found_out(tmp_path: Path) -> None:
    with FaultyServer(lambda _: completion("m")) as server:
        with pytest.raises(JudgeError, match=r"no usable log-probabilities.*letters='auto'"):
            judge_on(server, tmp_path / "v.sqlite", letters="logprobs").check()
        with pytest.raises(JudgeError, match="no usable log-probabilities"):
            judge_on(server, tmp_path / "w.sqlite").preferences(comparisons(3))


def test_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "SSO_BENCH_JUDGE_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(JudgeError, match="no key for the judge: set OPENAI_API_KEY"):
        open_judge(JudgeSettings("gpt-4-1106-preview"), tmp_path / "v.sqlite")


def test_wrong_key_and_unknown_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSO_BENCH_JUDGE_API_KEY", "wrong-key-123456789")
    error = {"error": {"message": "Incorrect API key provided: wron*************6789"}}
    with FaultyServer(lambda _: (401, {}, error)) as server:
        with pytest.raises(JudgeError, match="does not accept the key") as caught:
            judge_on(server, tmp_path / "v.sqlite").check()
        assert "6789" not in str(caught.value)
        assert len(server.received) == 1
    error = {"error": {"message": "no such model"}}
    with (
        FaultyServer(lambda _: (404, {}, error)) as server,
        pytest.raises(JudgeError, match="has no model 'judge-1'"),
    ):
        judge_on(server, tmp_path / "v.sqlite").check()


def test_refused_connection(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quick = ClientSettings(backoff_s=0.01)
    settings = JudgeSettings("m", f"http://127.0.0.1:{port}/v1", client=quick)
    judge = open_judge(settings, tmp_path / "v.sqlite")
    assert isinstance(judge, ServerJudge)
    with pytest.raises(JudgeError, match=f"Cannot connect to host 127.0.0.1:{port}") as caught:
        judge.check()
    assert "\n" not in str(caught.value)


def test_the_same_item_twice_is_refused(tmp_path: Path) -> None:
    judge = open_judge(JudgeSettings("m", "http://h:1/v1"), tmp_path / "v.sqlite")
    with pytest.raises(JudgeError, match="item '0' is to be judged twice"):
        judge.preferences(comparisons(1) * 2)


def test_judging_inside_a_running_event_loop(tmp_path: Path) -> None:
    import asyncio

    async def notebook(judge: ServerJudge) -> int:
        return len(judge.preferences(comparisons(3)))

    with FaultyServer() as server:
        assert asyncio.run(notebook(judge_on(server, tmp_path / "v.sqlite"))) == 3


def test_description_is_flat_json(tmp_path: Path) -> None:
    with FaultyServer() as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        judge.preferences(comparisons(2))
    facts = json.loads(json.dumps(judge.describe()))
    assert facts["answered"] == 2
    assert facts["price_usd_per_million"] is None


def test_a_resumed_run_probes_and_asks_the_canary_only_once(tmp_path: Path) -> None:
    from judges.canary import run_canary

    with FaultyServer() as server:
        for start in range(3):
            judge = judge_on(server, tmp_path / "v.sqlite", scope="run-1")
            judge.check()
            run_canary(judge)
            if start == 0:
                asked = len(server.received)
        assert len(server.received) == asked
        judge_on(server, tmp_path / "v.sqlite", scope="run-2").check()
        assert len(server.received) > asked
    gone = judge_on(server, tmp_path / "v.sqlite", scope="run-1")
    with pytest.raises(JudgeError):
        gone.check()
