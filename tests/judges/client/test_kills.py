"""Judging processes that are killed, or work side by side: no stored reply is asked for again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer

IN_FLIGHT = 16
WORKER = f"""
import sys
from pathlib import Path
from tests.judges.judge_examples import QUICK, comparisons
from dataclasses import replace
from judges import JudgeSettings, open_judge
url, store, n = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
client = replace(QUICK, concurrency={IN_FLIGHT})
judge = open_judge(JudgeSettings("judge-1", url, client=client), store)
print("start", flush=True)
values = [v.value for v in judge.preferences(comparisons(n))]
assert None not in values
print("done", flush=True)
"""


def start_worker(url: str, store: Path, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, url, str(store), str(n)]
    root = str(Path(__file__).resolve().parents[3])
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}, cwd=root
    )


Kill = tuple[int, set[str]]
"""How many requests had been received at a kill, and the keys that the store held then."""


def kill_and_restart(n: int, kills: int, tmp_path: Path) -> tuple[FaultyServer, list[Kill]]:
    """Kill the judging process again and again, then let one finish; the server, for its counts.

    What the store holds at a kill is never sent again. A reply that the server sent but the killed
    process had not read can't be known to anyone; such a request is sent again with the same
    Idempotency-Key. There are at most as many of them as requests were in flight.
    """
    store, killed = tmp_path / "v.sqlite", []
    with FaultyServer(fault_share=0.2, latency_s=0.02, stall_s=1.0) as server:
        server.keep_bodies = False
        for kill in range(kills):
            worker = start_worker(server.url, store, n)
            assert worker.stdout is not None
            assert worker.stdout.readline().strip() == "start"
            wait_for_answers(server, (kill + 1) * n // (kills + 2))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            time.sleep(0.1)
            kept = {row.key for row in VerdictStore(store).rows()}
            assert len(server.answered) - len(kept) <= IN_FLIGHT * (kill + 1)
            killed.append((len(server.received), kept))
        last = start_worker(server.url, store, n)
        out, _ = last.communicate(timeout=120)
        assert out.splitlines() == ["start", "done"]
    return server, killed


def wait_for_answers(server: FaultyServer, n: int) -> None:
    """Until the server has answered that many requests."""
    deadline = time.monotonic() + 60
    while len(server.answered) < n:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def sent_again(server: FaultyServer, killed: list[Kill]) -> set[str]:
    """Keys that a store held at a kill and that were sent after it all the same."""
    return {
        key for position, kept in killed for _, key in server.received[position:] if key in kept
    }


def check(server: FaultyServer, n: int, kills: int) -> None:
    """Every answer is there, and only what was in flight at a kill was answered twice."""
    assert len(server.answered) == n
    assert sum(count - 1 for count in server.answered.values()) <= IN_FLIGHT * kills


def test_kill_minus_nine_and_restart(tmp_path: Path) -> None:
    server, killed = kill_and_restart(150, 2, tmp_path)
    assert sent_again(server, killed) == set()
    check(server, 150, 2)
    assert len(list(VerdictStore(tmp_path / "v.sqlite").rows())) == 150


@pytest.mark.slow
def test_five_kills_over_two_thousand_verdicts(tmp_path: Path) -> None:
    server, killed = kill_and_restart(2000, 5, tmp_path)
    assert sent_again(server, killed) == set()
    check(server, 2000, 5)
    assert len(list(VerdictStore(tmp_path / "v.sqlite").rows())) == 2000


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
