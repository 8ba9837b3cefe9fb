"""The client against a server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from judges import JudgeError
from judges.client import ClientSettings, retry
from judges.client.limiter import AdaptiveLimiter
from judges.client.retry import retry_after_seconds
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer, completion, letter_reply
from tests.judges.judge_examples import comparisons, expected, judge_on


def obtain_all(n: int, tmp_path: Path) -> FaultyServer:
    """Ask for n verdicts despite a fifth of faults; the values are the right ones."""
    items = comparisons(n)
    with FaultyServer(fault_share=0.2, latency_s=0.002, stall_s=2.0, seed=3) as server:
        verdicts = judge_on(server, tmp_path / "v.sqlite").preferences(items)
    assert {verdict.state for verdict in verdicts} == {"ok"}
    assert [verdict.value for verdict in verdicts] == expected(items)
    faults = sum(count for name, count in server.statuses.items() if name != "ok")
    assert faults > 0.1 * n
    assert len(server.received) == n + faults
    return server


def test_every_verdict_is_obtained_and_none_asked_twice(tmp_path: Path) -> None:
    server = obtain_all(200, tmp_path)
    assert set(server.answered.values()) == {1}
    assert len(server.answered) == 200


@pytest.mark.slow
def test_two_thousand_verdicts_with_a_fifth_of_faults(tmp_path: Path) -> None:
    server = obtain_all(2000, tmp_path)
    assert set(server.answered.values()) == {1}
    assert len(server.answered) == 2000


@pytest.mark.parametrize("fault", ["429", "500", "503", "reset", "stall", "half", "cut-json"])
def test_one_fault_of_each_kind_is_mended(fault: str, tmp_path: Path) -> None:
    with FaultyServer(script=[fault, fault], stall_s=1.0) as server:
        [verdict] = judge_on(server, tmp_path / "v.sqlite").preferences(comparisons(1))
    assert verdict.state == "ok"
    assert server.statuses == {fault: 2, "ok": 1}


def test_the_store_answers_the_second_time(tmp_path: Path) -> None:
    items = comparisons(30)
    with FaultyServer() as server:
        first = judge_on(server, tmp_path / "v.sqlite").preferences(items)
        second = judge_on(server, tmp_path / "v.sqlite").preferences(items)
        assert len(server.received) == 30
    assert [v.value for v in first] == [v.value for v in second]
    assert not any(v.cached for v in first)
    assert all(v.cached and v.cost_usd == 0 for v in second)


def test_the_same_request_twice_in_one_call_is_sent_once(tmp_path: Path) -> None:
    items = [
        c.model_copy(update={"item_id": f"copy-{i}"}) for i in range(5) for c in comparisons(1)
    ]
    with FaultyServer(latency_s=0.05) as server:
        verdicts = judge_on(server, tmp_path / "v.sqlite").preferences(items)
    assert len(server.received) == 1
    assert len({v.value for v in verdicts}) == 1
    assert [v.cached for v in verdicts] == [False, True, True, True, True]


def test_a_request_taken_over_while_it_waits_for_a_slot_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made and claimed, then overtaken: another process has answered it before there was a slot."""
    items = comparisons(3)
    with FaultyServer() as server:
        judge_on(server, tmp_path / "other.sqlite").preferences(items)
        others = list(VerdictStore(tmp_path / "other.sqlite").rows())
        sent = len(server.received)
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=1)
        monkeypatch.setattr(retry, "FRESH_S", -1.0)  # claims are looked at again when sending
        claim = judge.store.claim
        judge.store.claim = lambda keys, lease_s: _overtaken(judge.store, others, claim, keys)  # type: ignore[method-assign]
        verdicts = judge.preferences(items)
    assert len(server.received) == sent
    assert [v.value for v in verdicts] == expected(items)
    assert judge.limiter.in_flight == 0


def _overtaken(store: VerdictStore, others: Any, claim: Any, keys: list[str]) -> Any:
    """Give the claim; the answer of another process comes right after it."""
    taken = claim(keys, 60.0)
    store.put([row for row in others if row.key in keys])
    return taken


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


# Rate limits


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


def test_concurrency_comes_down_to_what_the_server_takes(tmp_path: Path) -> None:
    with FaultyServer(latency_s=0.1, limit=8) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=64)
        verdicts = judge.preferences(comparisons(150))
    assert all(v.state == "ok" for v in verdicts)
    assert judge.limiter.window < 32
    assert judge.limiter.cuts >= 1
    # Found out after the first rounds: without adapting, 56 of 64 would be refused each round.
    assert server.statuses["limit"] < 150


def test_limiter_by_hand() -> None:
    async def play() -> None:
        limiter = AdaptiveLimiter(100, start=4)
        tickets = [await limiter.acquire() for _ in range(4)]
        assert not limiter.has_room()
        for _ in tickets:
            limiter.succeeded()
        assert limiter.window == 8
        tickets = [await limiter.acquire() for _ in range(8)]
        shrunk = []
        for ticket in tickets[:5]:
            limiter.limited(ticket, None)
            shrunk.append(limiter.window)
        assert shrunk == [7, 6, 5, 4, 4], "what is still in flight, but half a round trip at most"
        for _ in range(3):
            limiter.succeeded()
        assert limiter.in_flight == 0
        for _ in range(3 * 4 - 3):
            assert limiter.window == 4, "just below what was refused"
            await limiter.acquire()
            limiter.succeeded()
        await limiter.acquire()
        limiter.succeeded()
        assert limiter.window == 5, "probes after three round trips"

    asyncio.run(play())


def test_the_limit_is_found_in_the_first_round_trips() -> None:
    """A server that takes 50: the window doubles to 64, 14 are refused, 50 are left."""

    async def play() -> None:
        limiter = AdaptiveLimiter(128, start=32)
        for _ in range(await take_all(limiter)):
            limiter.succeeded()
        assert limiter.window == 64
        in_flight = await take_all(limiter)
        for _ in range(in_flight - 50):
            limiter.limited(0, None)
        assert (limiter.window, limiter.in_flight) == (50, 50)

    async def take_all(limiter: AdaptiveLimiter) -> int:
        while limiter.has_room():
            limiter.take()
        return limiter.in_flight

    asyncio.run(play())


def test_who_waits_for_a_slot_gets_it_before_who_comes_later() -> None:
    async def play() -> list[str]:
        limiter, got = AdaptiveLimiter(1), []
        limiter.take()

        async def wait(name: str) -> None:
            await limiter.acquire()
            got.append(name)

        first, second = asyncio.create_task(wait("first")), asyncio.create_task(wait("second"))
        await asyncio.sleep(0)
        limiter.succeeded()
        assert not limiter.has_room(), "the slot is the first one's, though it has not run yet"
        await asyncio.sleep(0)
        second.cancel()
        limiter.succeeded()
        await asyncio.gather(first, second, return_exceptions=True)
        assert limiter.in_flight == 0, "a slot given to one that was cancelled comes back"
        return got

    assert asyncio.run(play()) == ["first"]


# Errors that will not mend


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


def test_a_full_disk_is_said_in_one_line_and_keeps_what_was_stored(tmp_path: Path) -> None:
    with FaultyServer() as server:
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=1)
        judge.preferences(comparisons(2))
        pages = judge.store._db.execute("PRAGMA page_count").fetchone()[0]
        judge.store._db.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(JudgeError, match=r"v.sqlite: verdict store: .*full"):
            judge.preferences(comparisons(200))
    assert len(list(VerdictStore(tmp_path / "v.sqlite").rows())) >= 2


def test_completion_helper_matches_the_api() -> None:
    from openai.types.chat import ChatCompletion

    assert ChatCompletion.model_validate(completion("hi")).choices[0].message.content == "hi"
