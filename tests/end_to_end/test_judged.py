"""Runs judged by a server: the budget holds across a kill, the key is written nowhere."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from judges.store import VerdictStore
from tests.end_to_end.conftest import Call, Result, small
from tests.end_to_end.test_interrupted import start
from tests.judges.faulty_server import FaultyServer, completion, letter_reply

KINDS = {"weighted": 0, "pairwise": 0, "rating": 0}


def any_reply(body: dict[str, Any]) -> dict[str, Any]:
    """A reply to any kind of question: letters, a side, or a rating."""
    if body.get("logprobs"):
        KINDS["weighted"] += 1
        return letter_reply(body)
    pair = "[[A]]" in json.dumps(body["messages"])
    KINDS["pairwise" if pair else "rating"] += 1
    return completion("[[A]]" if pair else "Rating: [[7]]")


def answered(server: FaultyServer) -> int:
    """Requests that were answered, each time counted."""
    return sum(server.answered.values())


def test_a_killed_run_goes_on_with_what_was_left_of_its_budget(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    cache, out, in_flight = tmp_path / "cache", tmp_path / "run", 2

    def args(server: FaultyServer, calls: int) -> list[str]:
        judged = ["--judge", "judge-1", "--judge-url", server.url]
        judged += ["--set", f"judge.max_calls={calls}", "--set", f"judge.concurrency={in_flight}"]
        few = [*small(tiny_model_dir, out, "-b", "alpaca_eval,mt_bench"), *judged]
        return ["eval", few[1], *few[2:]]

    with FaultyServer(any_reply, latency_s=0.05) as server:
        first = start(args(server, 22), cache)
        deadline = time.monotonic() + 120
        while answered(server) < 15:
            assert first.poll() is None, first.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        assert answered(server) < 22

        second = call(*args(server, 22))
        assert second.code == 2
        assert "the judging budget of 22 calls does not cover the next request" in second.err
        # A reply that was on its way to the killed process can't be known to anyone.
        assert 22 <= answered(server) <= 22 + in_flight
        spent = answered(server)

        third = call(*args(server, 22))
        assert third.code == 2
        assert answered(server) == spent, "no fresh budget"

        last = call(*args(server, 500))
        assert last.code == 0, last.err
    again = call(*args(server, 500))
    assert again.code == 0, f"a finished run asks nothing: {again.err}"
    described = json.loads((out / "run.json").read_text())
    calls, _ = VerdictStore(cache / "verdicts.sqlite").spent(described["id"])
    assert answered(server) - in_flight <= calls <= answered(server)


# Secrets

PART = "5ecr3t"
RIGHT, WRONG = "sk-5ecr3t-right-0123456789", "sk-5ecr3t-wrong-9876543210"


def processes_that_show(secrets: tuple[str, ...]) -> list[str]:
    """Command lines and names, of all processes, that hold one of the secrets."""
    shown = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "comm"):
            try:
                text = (process / name).read_text(errors="replace")
            except OSError:
                continue
            if any(secret in text for secret in secrets):
                shown.append(text)
    return shown


def files_that_hold(folder: Path, secrets: tuple[str, ...]) -> list[Path]:
    """Files below a folder whose name or bytes hold one of the secrets."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and any(s in str(path) or s.encode() in path.read_bytes() for s in secrets)
    ]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")
def test_a_planted_key_is_nowhere_after_a_whole_run(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything, out = tmp_path / "all", tmp_path / "all" / "run"
    for variable in ("HOME", "TMPDIR", "XDG_CACHE_HOME"):
        (everything / variable).mkdir(parents=True)
        monkeypatch.setenv(variable, str(everything / variable))
    monkeypatch.delenv("SSO_BENCH_JUDGE_API_KEY", raising=False)
    monkeypatch.chdir(everything)
    shown: list[str] = []
    KINDS.update(dict.fromkeys(KINDS, 0))

    def guarded(body: dict[str, Any]) -> Any:
        shown.extend(processes_that_show((PART,)))
        sent = server.headers[-1]["authorization"].removeprefix("Bearer ")
        if sent != RIGHT:
            echo = f"Incorrect API key provided: {sent} ({sent[:6]}******{sent[-4:]})"
            return 401, {"x-key": sent}, {"error": {"message": echo, "code": "invalid_api_key"}}
        if "Question" in str(body) and len(server.received) % 7 == 0:
            return 500, {}, {"error": {"message": f"internal error of {sent}"}}
        return any_reply(body)

    def run(key: str) -> Result:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        few = small(tiny_model_dir, out, "-b", "alpaca_eval,mt_bench", "--judge", "judge-1")
        process = start(["run", "--iters", "1", *few, "--judge-url", server.url], everything / "c")
        stdout, stderr = process.communicate(timeout=300)
        return Result(process.returncode, stdout, stderr)

    with FaultyServer(guarded) as server:
        refused = run(WRONG)
        done = run(RIGHT)
        keys = {headers["authorization"] for headers in server.headers}
    assert keys == {f"Bearer {RIGHT}", f"Bearer {WRONG}"}, "the server did get them"
    assert refused.code == 2
    assert "does not accept the key" in refused.err
    assert done.code == 0, done.err
    assert min(KINDS.values()) > 0, "all kinds of questions were asked"
    written = refused.out + refused.err + done.out + done.err
    assert PART not in written
    assert shown == []
    assert files_that_hold(everything, (PART,)) == []
    # The store's texts are compressed, so they are read out as well.
    store = VerdictStore(everything / "c" / "verdicts.sqlite")
    rows = [repr(row) for row in store.get([r.key for r in store.rows()], whole=True).values()]
    assert len(rows) > 50
    assert not any(PART in row for row in rows)


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"Authorization: Bearer {RIGHT}")
    (tmp_path / WRONG).write_text("")
    (tmp_path / "clean").write_text("nothing")
    found = files_that_hold(tmp_path, (PART,))
    assert [path.name for path in found] == ["log", WRONG]
    own = Path("/proc/self/cmdline").read_text().split("\0")[0]
    assert processes_that_show((own,))
