"""Every request is answered once: by the server, the store, or another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from judges.client import retry
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer
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
