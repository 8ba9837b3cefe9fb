"""Where requests go, and how much of an answer is taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judges import JudgeError, JudgeSettings, open_judge
from judges.client import connection
from tests.judges.faulty_server import FaultyServer, completion, letter_reply
from tests.judges.judge_examples import QUICK, comparisons, expected, judge_on


def test_a_redirected_request_takes_one_slot(tmp_path: Path) -> None:
    items, moved = comparisons(4), set[str]()

    def reply(body: dict[str, Any]) -> Any:
        text = str(body["messages"])
        if text in moved:
            return letter_reply(body)
        moved.add(text)
        return 307, {"location": "/v1/moved/chat/completions"}, {}

    with FaultyServer(reply) as server:  # one slot: a second one for the new address never comes
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=1)
        verdicts = judge.preferences(items)
        assert len(server.received) == 8
    assert [verdict.value for verdict in verdicts] == expected(items)
    assert judge.limiter.in_flight == 0


def test_a_redirect_to_another_host_is_not_followed(tmp_path: Path) -> None:
    """Prompts and key go to the judge's server and to nobody else."""
    with FaultyServer() as other:
        moved = (307, {"location": f"{other.url}/chat/completions"}, {})
        with FaultyServer(lambda _: moved) as server:
            judge = judge_on(server, tmp_path / "v.sqlite")
            with pytest.raises(JudgeError, match="prompts are not sent to another host"):
                judge.preferences(comparisons(3))
        assert other.received == []


def test_a_redirect_that_would_drop_the_body_ends_the_run(tmp_path: Path) -> None:
    with FaultyServer(lambda _: (302, {"location": "/login"}, {})) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        with pytest.raises(JudgeError, match=r"unexpected redirect \(HTTP 302\)"):
            judge.preferences(comparisons(1))


def test_a_reply_longer_than_any_verdict_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_BYTES", 1 << 20)
    quick = replace(QUICK, attempts=2, timeout_s=5)
    with FaultyServer(lambda _: completion("m" * (2 << 20))) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", client=quick)
        with pytest.raises(JudgeError, match="the reply is longer than 1 MB"):
            judge.preferences(comparisons(1))


def test_a_reply_that_trickles_in_is_given_up_in_time(tmp_path: Path) -> None:
    """Bytes keep arriving, so only a bound on the whole time ends it."""
    quick = replace(QUICK, attempts=2, timeout_s=0.3)
    with FaultyServer(script=["trickle"] * 9) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", client=quick)
        with pytest.raises(JudgeError, match=r"no whole reply within 0.3 s"):
            judge.preferences(comparisons(1))


def test_the_proxy_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        settings = JudgeSettings("judge-1", "http://judge.example/v1", client=QUICK)
        judge = open_judge(settings, tmp_path / "v.sqlite")
        assert judge.preferences(comparisons(1))[0].state == "ok"
        assert len(proxy.received) == 1
