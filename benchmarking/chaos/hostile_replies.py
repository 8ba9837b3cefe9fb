"""A judge's server that answers some requests with anything: what becomes of the verdicts and the run?

    python -m benchmarking.chaos.hostile_replies --work DIR

Every second item gets one hostile reply, always the same one; the others get good replies, whose verdicts
must be right. *Poison*: a hostile reply that became a verdict or a cost that is no amount. *Ended*: the run
stopped. Peak memory is that of the client's process, which holds the client alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarking.chaos.hostile_cases import cases, completion, http

SHARE = 0.8
"""Probability of "m" in every good reply."""


class HostileServer:
    """Answers "Question N" with the N-th hostile reply, and all others well, on a free port."""

    def __init__(self, replies: list[tuple[bytes, Any]]) -> None:
        self.replies = replies
        self.served = Counter[int]()

    def __enter__(self) -> HostileServer:
        ready = threading.Event()
        threading.Thread(target=self._main, args=(ready,), daemon=True).start()
        ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    def _main(self, ready: threading.Event) -> None:
        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await self._stop.wait()

        asyncio.run(serve())

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if head.startswith("get "):
            writer.write(http(json.dumps({"data": []}).encode()))
            await writer.drain()
            return True
        length = int(head.partition("content-length:")[2].split()[0])
        text = json.dumps(json.loads(await reader.readexactly(length))["messages"])
        number = text.partition("Hostile ")[2].split(".")[0]
        if not number.isdigit():
            tops = [
                {"token": t, "logprob": math.log(p)} for t, p in (("m", SHARE), ("M", 1 - SHARE))
            ]
            body = completion("m", logprobs={"content": [{"token": "m", "top_logprobs": tops}]})
            writer.write(http(json.dumps(body).encode()))
            await writer.drain()
            return True
        raw, piece = self.replies[int(number)]
        self.served[int(number)] += 1
        writer.write(raw)
        await writer.drain()
        while piece is not None:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.2 if len(piece) < 2 else 0.002)
        return False


def peak_mb() -> int:
    """This process's own peak memory (``ru_maxrss`` counts the parent's too)."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) // 1024


def client(port: int, names: list[str], work: Path, patience: float) -> dict[str, Any]:
    """Ask for all verdicts; what became of them. In a process of its own. ``patience`` in seconds."""
    from judges import Comparison, JudgeSettings, open_judge
    from judges.client import ClientSettings
    from judges.protocols.weighted_preference import is_switched
    from judges.verify import check_store

    asked = []
    for i in range(len(names)):
        asked.append(
            Comparison(item_id=f"h{i}", instruction=f"Hostile {i}.", output_1="a", output_2="b")
        )
        asked.append(
            Comparison(item_id=f"g{i}", instruction=f"Good {i}.", output_1="a", output_2="b")
        )
    prices = work / "prices.yaml"
    prices.write_text("models:\n  judge-1: {input: 10.0, output: 30.0}\n")
    settings = JudgeSettings(
        "judge-1", f"http://127.0.0.1:{port}/v1", prices=prices, max_cost=1000.0, scope="run",
        client=ClientSettings(concurrency=64, timeout_s=0.75 * patience, attempts=8, backoff_s=0.02, backoff_max_s=0.5, patience_s=patience),
    )  # fmt: skip
    judge = open_judge(settings, work / "v.sqlite")
    before = peak_mb()
    began = time.monotonic()
    verdicts = judge.preferences(asked)
    bad, wrong = [], []
    for verdict, item in zip(verdicts, asked, strict=True):
        if item.item_id.startswith("g"):
            expected = 2 - SHARE if not is_switched(item.instruction) else 1 + SHARE
            if verdict.state != "ok" or abs((verdict.value or 0) - expected) > 1e-9:
                wrong.append(
                    f"{item.item_id}: {verdict.state}, {(verdict.raw or verdict.error)[:200]}"
                )
        elif verdict.state == "ok" or verdict.value is not None:
            bad.append(names[int(item.item_id[1:])])
    store = check_store(work / "v.sqlite")
    calls, cost = judge.store.spent("run")
    return {
        "hostile": len(names),
        "poison": bad + store.lines() + ([] if math.isfinite(cost) and cost >= 0 else ["cost"]),
        "good_verdicts_wrong": wrong,
        "states": dict(Counter(v.state for v in verdicts if v.item_id.startswith("h"))),
        "kept_raw": store.kept,
        "calls_booked": calls,
        "cost_usd": round(cost, 4),
        "seconds": round(time.monotonic() - began, 1),
        "memory_mb": peak_mb(),
        "memory_before_mb": before,
    }


def attack(work: Path, names: list[str], patience: float = 4.0) -> dict[str, Any]:
    """The client in a process of its own against the named cases; ``ended`` where it did not finish.

    On a busy machine good replies come late too: without silent cases ``patience`` may be long.
    """
    replies = cases()
    work.mkdir(parents=True, exist_ok=True)
    for old in work.glob("v.sqlite*"):
        old.unlink()
    (work / "names.json").write_text(json.dumps(names))
    with HostileServer([replies[name] for name in names]) as server:
        command = [sys.executable, "-m", "benchmarking.chaos.hostile_replies"]
        command += ["--work", str(work), "--client", str(server.port), "--patience", str(patience)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {"hostile": len(names), "ended": done.stderr[-2000:]}
    return {**json.loads(done.stdout), "served": len(server.served), "ended": ""}


def main() -> None:
    """Attack with all cases; print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--client", type=int, help="(the client's process) port of the server")
    parser.add_argument("--patience", type=float, default=4.0, help="seconds for one reply")
    options = parser.parse_args()
    work = options.work.resolve()
    if options.client:
        names = json.loads((work / "names.json").read_text())
        print(json.dumps(client(options.client, names, work, options.patience)))
    else:
        print(json.dumps(attack(work, list(cases()), options.patience), indent=1))


if __name__ == "__main__":
    main()
