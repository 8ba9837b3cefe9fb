"""What is tried again, what is one request's own error, and what ends a run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from judges import JudgeError
from judges.client import ClientSettings
from judges.client.retry import retry_after_seconds
from judges.protocols import weighted_preference
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer, letter_reply
from tests.judges.judge_examples import budget_judge, comparisons, judge_on


@pytest.mark.parametrize("fault", ["429", "500", "503", "reset", "stall", "half", "cut-json"])
def test_one_fault_of_each_kind_is_mended(fault: str, tmp_path: Path) -> None:
    with FaultyServer(script=[fault, fault], stall_s=1.0) as server:
        [verdict] = judge_on(server, tmp_path / "v.sqlite").preferences(comparisons(1))
    assert verdict.state == "ok"
    assert server.statuses == {fault: 2, "ok": 1}


def test_a_reply_that_can_not_be_stored_is_not_asked_for_again(tmp_path: Path) -> None:
    with FaultyServer() as server:
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=1)

        def full(rows: Any) -> None:
            raise JudgeError("v.sqlite: verdict store: database or disk is full")

        judge.store.put = full  # type: ignore[method-assign]
        with pytest.raises(JudgeError, match="disk is full"):
            judge.preferences(comparisons(1))
        assert len(server.received) == 1
    assert judge.limiter.in_flight == 0


def test_retry_after_is_honoured_by_everyone(tmp_path: Path) -> None:
    script = ["ok"] * 4 + ["429"]
    with FaultyServer(script=script, retry_after="1", latency_s=0.01) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=1)
        judge.preferences(comparisons(8))
    times = [moment for moment, _ in server.received]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[4] >= 1.0
    assert len(times) == 9


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds


@pytest.mark.parametrize(
    ("status", "message", "match"),
    [
        (401, "Incorrect API key provided: sk-planted-secret-1", "does not accept the key"),
        (403, "no", "may not use model 'judge-1'"),
        (404, "The model does not exist", "has no model 'judge-1'"),
    ],
)
def test_hopeless_statuses_end_the_run_at_once(
    status: int, message: str, match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret-1")
    body = {"error": {"message": message}}
    with FaultyServer(lambda _: (status, {}, body)) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=2)
        with pytest.raises(JudgeError, match=match) as caught:
            judge.preferences(comparisons(20))
    assert len(server.received) <= 2
    assert "planted" not in str(caught.value)


def test_a_bad_request_is_one_items_error_and_not_sent_again(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> Any:
        if "Question 3" in body["messages"][1]["content"]:
            return 400, {}, {"error": {"message": "too long", "code": "context_length_exceeded"}}
        return letter_reply(body)

    with FaultyServer(reply) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=1)
        verdicts = judge.preferences(comparisons(6))
    assert [v.state for v in verdicts] == ["ok"] * 3 + ["error"] + ["ok"] * 2
    assert "too long" in verdicts[3].raw
    assert len(server.received) == 6


def test_a_filtered_request_is_its_own_state_and_paid_for_once(tmp_path: Path) -> None:
    body = {"error": {"message": "triggered", "code": "content_filter"}}
    with FaultyServer(lambda _: (400, {}, body)) as server:
        for _ in range(2):
            verdicts = judge_on(server, tmp_path / "v.sqlite").preferences(comparisons(2))
            assert [v.state for v in verdicts] == ["filtered", "filtered"]
        assert len(server.received) == 2


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with FaultyServer(fault_share=1.0, faults=["500"]) as server:
        quick = ClientSettings(timeout_s=0.5, attempts=3, backoff_s=0.01)
        judge = judge_on(server, tmp_path / "v.sqlite", client=quick)
        with pytest.raises(JudgeError, match="HTTP 500: scripted 500"):
            judge.preferences(comparisons(2))
    assert len(server.received) <= 6


def test_a_server_that_goes_away_ends_the_run(tmp_path: Path) -> None:
    quick = ClientSettings(timeout_s=0.5, attempts=2, backoff_s=0.01)
    with FaultyServer(script=["ok"] * 10 + ["reset"] * 300) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", client=quick, concurrency=4)
        with pytest.raises(JudgeError, match="given up after 2 tries"):
            judge.preferences(comparisons(150))
    assert len(VerdictStore(tmp_path / "v.sqlite").get(sorted(server.answered))) == 10
    assert len(server.received) < 80


def test_a_wait_of_hours_is_said_and_not_waited_for(tmp_path: Path) -> None:
    with FaultyServer(script=["429"] * 9, retry_after="72000") as server:
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=1)
        with pytest.raises(JudgeError, match="asks to wait 72000 s"):
            judge.preferences(comparisons(3))
    assert len(server.received) == 1


def test_an_unreadable_reply_is_asked_for_three_times_and_booked(tmp_path: Path) -> None:
    """Each may have been charged; the item is an error with the reason, and the run goes on."""

    def reply(body: dict[str, Any]) -> Any:
        if "Question 3" in body["messages"][1]["content"]:
            return {"error": {"message": "overloaded"}}
        return letter_reply(body)

    with FaultyServer(reply) as server:
        judge = budget_judge(server, tmp_path, max_cost=1.0, concurrency=1)
        verdicts = judge.preferences(comparisons(6))
        assert len(server.received) == 5 + 3
        assert judge.spent()["calls"] == 5 + 3
    assert [v.state for v in verdicts] == ["ok"] * 3 + ["error"] + ["ok"] * 2
    assert "the server says: overloaded" in verdicts[3].raw


def test_a_reply_without_token_counts_is_booked_at_what_was_set_aside(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> Any:
        return {**letter_reply(body), "usage": {"prompt_tokens": float("nan")}}

    with FaultyServer(reply) as server:
        judge = budget_judge(server, tmp_path, max_cost=1.0)
        [verdict] = judge.preferences(comparisons(1))
    assert verdict.state == "ok"
    asked = weighted_preference.request(comparisons(1)[0])
    assert judge.spent()["cost_usd"] == pytest.approx(judge.budget.upper_bound(asked))
