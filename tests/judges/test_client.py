"""The client against a server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from judges import Comparison, JudgeError, open_judge
from judges.client import ClientSettings
from judges.client.limiter import AdaptiveLimiter
from judges.client.sending import retry_after_seconds
from judges.errors import BudgetError
from judges.server import ServerJudge
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer, completion, letter_reply

QUICK = ClientSettings(timeout_s=0.5, backoff_s=0.02, backoff_max_s=0.2)
PRICES = "batch: 0.5\nmodels:\n  judge-1: {input: 10.0, output: 30.0}\n"


def comparisons(n: int) -> list[Comparison]:
    return [
        Comparison(item_id=str(i), instruction=f"Question {i}", output_1="one", output_2=f"two {i}")
        for i in range(n)
    ]


def judge_on(server: FaultyServer, store: Path, **settings: Any) -> ServerJudge:
    settings = {"client": QUICK, **settings}
    judge = open_judge("judge-1", base_url=server.url, store=store, **settings)
    assert isinstance(judge, ServerJudge)
    return judge


def expected(items: list[Comparison]) -> list[float]:
    """Values without any fault, straight from the reply function."""
    from judges.kinds import weighted_preference
    from judges.replies import read_reply

    values = []
    for item in items:
        request = weighted_preference.request(item)
        body = {"messages": request.messages, "logprobs": True}
        value = weighted_preference.read(read_reply(letter_reply(body))).value
        assert value is not None
        switched = weighted_preference.is_switched(item.instruction)
        values.append(3 - value if switched else value)
    return values


def all_obtained(n: int, tmp_path: Path) -> None:
    items = comparisons(n)
    with FaultyServer(fault_share=0.2, latency_s=0.002, stall_s=2.0, seed=3) as server:
        verdicts = judge_on(server, tmp_path / "v.sqlite").preferences(items)
    assert {verdict.state for verdict in verdicts} == {"ok"}
    assert [verdict.value for verdict in verdicts] == expected(items)
    assert len(server.answered) == n
    assert max(server.answered.values()) == 1
    faults = sum(count for name, count in server.statuses.items() if name != "ok")
    assert faults > 0.1 * n
    assert len(server.received) == n + faults


def test_every_verdict_is_obtained_and_none_asked_twice(tmp_path: Path) -> None:
    all_obtained(200, tmp_path)


@pytest.mark.slow
def test_two_thousand_verdicts_with_a_fifth_of_faults(tmp_path: Path) -> None:
    all_obtained(2000, tmp_path)


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


# Kill -9

WORKER = """
import sys
from pathlib import Path
from tests.judges.test_client import QUICK, comparisons
from judges import open_judge
url, store, n = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
judge = open_judge("judge-1", base_url=url, store=store, client=QUICK, concurrency=16)
print("start", flush=True)
values = [v.value for v in judge.preferences(comparisons(n))]
assert None not in values
print("done", flush=True)
"""


def start_worker(url: str, store: Path, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, url, str(store), str(n)]
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}, cwd=root
    )


def killed_and_restarted(n: int, kills: int, tmp_path: Path) -> None:
    """Kill the judging process again and again; what the store holds is never sent again.

    A reply that the server sent but the killed process had not read can't be known to anyone; such
    a request is sent again with the same Idempotency-Key. There are at most as many of them as
    requests were in flight.
    """
    store = tmp_path / "v.sqlite"
    concurrency = 16
    with FaultyServer(fault_share=0.2, latency_s=0.02, stall_s=1.0) as server:
        server.keep_bodies = False
        for kill in range(kills):
            worker = start_worker(server.url, store, n)
            assert worker.stdout is not None
            assert worker.stdout.readline().strip() == "start"
            target = (kill + 1) * n // (kills + 2)
            deadline = time.monotonic() + 60
            while len(server.answered) < target and time.monotonic() < deadline:
                time.sleep(0.005)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            kept = {row.key for row in VerdictStore(store).rows()}
            assert len(server.answered) - len(kept) <= concurrency * (kill + 1)
            time.sleep(0.1)
            sent_before = len(server.received)
            again = start_worker(server.url, store, n) if kill == kills - 1 else None
            if again is not None:
                out, _ = again.communicate(timeout=120)
                assert out.splitlines() == ["start", "done"]
            resent = {key for _, key in server.received[sent_before:]}
            assert not resent & kept
        twice = sum(count - 1 for count in server.answered.values())
        assert len(server.answered) == n
        assert twice <= concurrency * kills
    rows = list(VerdictStore(store).rows())
    assert len(rows) == n


def test_kill_minus_nine_and_restart(tmp_path: Path) -> None:
    killed_and_restarted(150, 2, tmp_path)


@pytest.mark.slow
def test_five_kills_over_two_thousand_verdicts(tmp_path: Path) -> None:
    killed_and_restarted(2000, 5, tmp_path)


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    with FaultyServer(latency_s=0.02) as server:
        workers = [start_worker(server.url, tmp_path / "v.sqlite", 120) for _ in range(2)]
        for worker in workers:
            out, _ = worker.communicate(timeout=60)
            assert out.splitlines()[-1] == "done"
    assert len(server.answered) == 120
    assert max(server.answered.values()) == 1


def test_a_claim_of_a_living_process_holds_and_of_a_dead_one_does_not(tmp_path: Path) -> None:
    one, two = VerdictStore(tmp_path / "v.sqlite"), VerdictStore(tmp_path / "v.sqlite")
    assert one.claim(["a", "b"], 60) == {"a", "b"}
    assert two.claim(["a", "c"], 60) == {"c"}
    one.release(["a"])
    assert two.claim(["a"], 60) == {"a"}
    assert two.claim(["b"], 60) == set()
    one.owner = one.owner.replace(f":{os.getpid()}:", ":999999999:")
    one.claim(["d"], 60)
    assert two.claim(["d"], 60) == {"d"}
    assert two.claim(["e"], -1) == {"e"}
    assert one.claim(["e"], 60) == {"e"}


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
    assert judge._client.limiter.window < 32
    assert judge._client.limiter.cuts >= 1
    # Found out after the first rounds: without adapting, 56 of 64 would be refused each round.
    assert server.statuses["limit"] < 150


def test_limiter_by_hand() -> None:
    async def play() -> None:
        limiter = AdaptiveLimiter(100, start=4)
        tickets = [await limiter.acquire() for _ in range(4)]
        assert limiter.try_acquire() is None
        for _ in tickets:
            limiter.succeeded()
        assert limiter.window == 8
        tickets = [await limiter.acquire() for _ in range(8)]
        limiter.limited(tickets[0], None)
        assert limiter.window == pytest.approx(7.6)
        limiter.limited(tickets[1], None)
        assert limiter.window == pytest.approx(7.6), "one cut a round trip"
        for _ in range(6):
            limiter.succeeded()
        assert limiter.in_flight == 0
        assert limiter.window < 8, "stays below what was refused"

    asyncio.run(play())


# Errors that will not mend


@pytest.mark.parametrize(
    ("status", "message", "match"),
    [
        (401, "Incorrect API key provided: sk-planted-secret-1", "does not accept the key"),
        (403, "no", "may not use model 'judge-1'"),
        (404, "The model does not exist", "knows no model 'judge-1'"),
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


# Budget


def budget_judge(server: FaultyServer, tmp_path: Path, **settings: Any) -> ServerJudge:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    return judge_on(server, tmp_path / "v.sqlite", prices=prices, **settings)


def test_a_budget_in_calls_is_never_exceeded(tmp_path: Path) -> None:
    with FaultyServer(latency_s=0.01) as server:
        judge = budget_judge(server, tmp_path, max_calls=25)
        with pytest.raises(BudgetError, match="25 calls does not cover"):
            judge.preferences(comparisons(60))
        assert sum(server.answered.values()) == 25
        assert judge.spent()["calls"] == 25
        more = budget_judge(server, tmp_path, max_calls=35)
        assert len(more.preferences(comparisons(60))) == 60
        assert sum(server.answered.values()) == 60


def test_a_budget_in_dollars_counts_what_is_in_flight(tmp_path: Path) -> None:
    # 100 prompt tokens at $10 and 1 completion token at $30 a million: $0.00103 a call.
    with FaultyServer(latency_s=0.01, fault_share=0.2, stall_s=1) as server:
        judge = budget_judge(server, tmp_path, max_cost=0.0515)
        with pytest.raises(BudgetError, match=r"\$0.05"):
            judge.preferences(comparisons(100))
    spent = judge.spent()
    assert spent["cost_usd"] == pytest.approx(spent["calls"] * 0.00103)
    assert spent["calls"] == sum(server.answered.values())
    # Reservations are above the true cost, so the budget is not overrun; it is nearly used.
    reserved = judge.budget.upper_bound(_one_request())
    assert reserved > 0.00103
    assert 0.0515 - reserved <= spent["cost_usd"] <= 0.0515


def _one_request() -> Any:
    from judges.kinds import weighted_preference

    return weighted_preference.request(comparisons(1)[0])


def test_a_resumed_run_knows_what_it_spent(tmp_path: Path) -> None:
    with FaultyServer() as server:
        first = budget_judge(server, tmp_path, max_calls=10, scope="run-1")
        first.preferences(comparisons(8))
        second = budget_judge(server, tmp_path, max_calls=10, scope="run-1")
        with pytest.raises(BudgetError):
            second.preferences(comparisons(20))
        assert sum(server.answered.values()) == 10


def test_estimate_from_the_table(tmp_path: Path) -> None:
    with FaultyServer() as server:
        judge = budget_judge(server, tmp_path, max_cost=1.0)
    # 805 calls, 700,000 prompt tokens at $10 and 200 completion tokens a call at $30 a million.
    assert judge.estimate(805, 700_000) == pytest.approx(7.0 + 805 * 200 * 30e-6)


# Secrets


def test_a_planted_key_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-planted-0123456789-key"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    said: list[str] = []

    def reply(body: dict[str, Any]) -> Any:
        if "Question 1" in json.dumps(body):
            return 400, {}, {"error": {"message": f"bad key {secret} or sk-pl****-key"}}
        return letter_reply(body)

    with caplog.at_level("DEBUG"), FaultyServer(reply, fault_share=0.3, stall_s=1) as server:
        judge = judge_on(server, tmp_path / "run" / "v.sqlite")
        verdicts = judge.preferences(comparisons(20))
        said += [v.model_dump_json() for v in verdicts]
        said += [json.dumps(judge.describe()), repr(judge), repr(judge._client), caplog.text]
        assert server.headers[0]["authorization"] == f"Bearer {secret}", "the server does get it"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
    assert not any(secret in text for text in said)
    assert any("***" in v.raw for v in verdicts)


def test_a_user_and_password_in_the_address_are_not_shown(tmp_path: Path) -> None:
    judge = open_judge(
        "m", base_url="http://user:hunter2@127.0.0.1:9/v1?key=hunter3", store=tmp_path / "v.sqlite"
    )
    assert "hunter" not in json.dumps(judge.describe()) + judge.snapshot


def test_completion_helper_matches_the_api() -> None:
    from openai.types.chat import ChatCompletion

    assert ChatCompletion.model_validate(completion("hi")).choices[0].message.content == "hi"
