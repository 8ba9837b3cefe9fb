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
from judges.store import VerdictStore
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


def test_unparsed_is_asked_once_more_and_other_states_are_not(tmp_path: Path) -> None:
    script = {
        "alpha": [completion("Fine."), completion("Rating: [[6]]")],
        "beta": [completion("Fine."), completion("Still fine.")],
        "gamma": [completion("I'm sorry, I can't.")],
        "delta": [completion("", finish="content_filter")],
        "epsilon": [completion("Because", finish="length")],
        "zeta": [completion("[[9]]")],
    }
    items = [rating_item(f"Text {word}", word) for word in script]
    with FaultyServer(scripted(script)) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        verdicts = judge.ratings(items)
    assert [v.state for v in verdicts] == [
        "ok",
        "unparsed",
        "refused",
        "filtered",
        "truncated",
        "ok",
    ]
    assert [v.value for v in verdicts] == [6.0, None, None, None, None, 9.0]
    assert len(server.received) == 8
    again = [b for b in server.bodies if len(b["messages"]) == 4]
    assert len(again) == 2
    assert [m["role"] for m in again[0]["messages"]] == ["system", "user", "assistant", "user"]
    states = judge.describe()["states"]
    assert states == {"ok": 2, "unparsed": 1, "refused": 1, "filtered": 1, "truncated": 1}


def test_the_re_ask_is_kept_too(tmp_path: Path) -> None:
    script = {"alpha": [completion("Fine."), completion("Still fine.")]}
    with FaultyServer(scripted(script)) as server:
        for _ in range(2):
            judge_on(server, tmp_path / "v.sqlite").ratings([rating_item("alpha")])
        assert len(server.received) == 2
    assert sorted(r.attempt for r in VerdictStore(tmp_path / "v.sqlite").rows()) == [0, 1]


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


def test_a_silently_changed_judge_does_not_share_verdicts(tmp_path: Path) -> None:
    names = ["judge-may"]
    with FaultyServer(lambda b: letter_reply(b, names[0])) as server:
        first = judge_on(server, tmp_path / "v.sqlite")
        first.check()
        first.preferences(comparisons(3))
        names[0] = "judge-june"
        second = judge_on(server, tmp_path / "v.sqlite")
        second.check()
        assert second.describe()["changed_from"] == "judge-may"
        before = len(server.received)
        verdicts = second.preferences(comparisons(3))
        assert len(server.received) == before + 3
        assert verdicts[0].judge.endswith("judge-june")


def test_a_server_without_log_probabilities_is_found_out(tmp_path: Path) -> None:
    with FaultyServer(lambda _: completion("m")) as server:
        with pytest.raises(JudgeError, match=r"no log-probabilities.*letters='parsed'"):
            judge_on(server, tmp_path / "v.sqlite").check()
        assert len(server.received) == 1
        with pytest.raises(JudgeError, match="no log-probabilities"):
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


def test_price_table_without_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(
        JudgeError, match=r"no price of model 'gpt-4-1106-previeu' \(did you mean 'gpt-4-1"
    ):
        open_judge(JudgeSettings("gpt-4-1106-previeu"), tmp_path / "v.sqlite")
    with pytest.raises(JudgeError, match="no price of model 'm'"):
        open_judge(JudgeSettings("m", "http://h:1/v1", max_cost=1.0), tmp_path / "v.sqlite")
    open_judge(JudgeSettings("m", "http://h:1/v1"), tmp_path / "v.sqlite")


@pytest.mark.parametrize(
    "text", ["- a", "models: {m: {input: x, output: 1}}", "models: {m: 3}", ":"]
)
def test_a_broken_price_table(text: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(JudgeError, match=r"p.yaml: no price table"):
        open_judge(JudgeSettings("m", "http://h:1/v1", prices=path), tmp_path / "v.sqlite")


def test_the_same_item_twice_is_refused(tmp_path: Path) -> None:
    judge = open_judge(JudgeSettings("m", "http://h:1/v1"), tmp_path / "v.sqlite")
    with pytest.raises(JudgeError, match="item '0' is to be judged twice"):
        judge.preferences(comparisons(1) * 2)


def test_offline_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with FaultyServer() as server:
        judge_on(server, tmp_path / "v.sqlite").preferences(comparisons(5))
        judge = judge_on(server, tmp_path / "v.sqlite", offline=True)
        judge.check()
        assert all(v.cached for v in judge.preferences(comparisons(5)))
        with pytest.raises(JudgeError, match=r"2 of 7 verdicts .* nothing is sent offline"):
            judge.preferences(comparisons(7))
        assert len(server.received) == 5


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
