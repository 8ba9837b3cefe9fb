"""Kills an experiment again and again and starts the same command: are the results the undisturbed run's?

    python -m benchmarking.chaos.kills --kills 60 --work DIR [--load 4]

Half of the kills come at a chosen file operation (before or after the N-th rename, sync, removal or new
folder below the run), half at a random moment. Each experiment is killed several times on its way to the
end. ``--load`` processes keep the processors busy meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarking.chaos.experiment import arguments, call, results, tiny_model
from benchmarking.chaos.forked import forked, warm
from benchmarking.chaos.kill_points import die_at_file_operation

MOST_STARTS = 40


def burn() -> None:
    """Keep one processor busy until killed."""
    while True:
        sum(range(10_000))


def start(work: Path, kill: dict[str, Any] | None) -> int | None:
    """One start of the experiment in a child; its exit code, ``None`` where it was killed."""

    def run() -> int:
        if kill is not None and "operation" in kill:
            inside = str(work / "run")
            die_at_file_operation(
                lambda path: path.startswith(inside), kill["operation"], after=kill["after"]
            )
        if kill is not None and "seconds" in kill:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, kill["seconds"])
        return call(arguments(work / "model", work / "run")).code

    code: int | None = forked(run, 3600 if kill is None or "operation" in kill else 0)
    return code


def operations(work: Path) -> int:
    """How many file operations below the run an undisturbed experiment makes."""

    def run() -> int:
        inside = str(work / "run")
        counted = die_at_file_operation(lambda path: path.startswith(inside), -1)
        assert call(arguments(work / "model", work / "run")).code == 0
        return counted()

    return int(forked(run, 3600))


def main() -> None:
    """Kill, compare, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    busy = [multiprocessing.Process(target=burn, daemon=True) for _ in range(options.load)]
    for process in busy:
        process.start()
    os.environ["SSO_BENCH_CACHE"] = str(work / "cache")
    warm()
    forked(lambda: str(tiny_model(work / "model")))
    began = time.monotonic()
    total = operations(work)
    whole_s = time.monotonic() - began
    expected = results(work / "run")
    chance, kills, experiments = random.Random(options.seed), Counter[str](), 0
    different: list[str] = []
    while sum(kills.values()) < options.kills:
        experiments += 1
        shutil.rmtree(work / "run", ignore_errors=True)
        for number in range(MOST_STARTS):
            kill: dict[str, Any] | None = {"seconds": whole_s * chance.uniform(0.05, 0.6)}
            if number % 2 == 0:
                operation = chance.randrange(1, max(2, total // 3))
                kill = {"operation": operation, "after": chance.random() < 0.5}
            if sum(kills.values()) >= options.kills or number == MOST_STARTS - 1:
                kill = None
            code = start(work, kill)
            if code == 0:
                break
            if code is not None:
                different.append(f"experiment {experiments}: exit code {code}")
                break
            kills["chosen" if kill and "operation" in kill else "random"] += 1
        found = results(work / "run")
        wrong = [n for n in expected | found if expected.get(n) != found.get(n)]
        different += [f"experiment {experiments}: {name}" for name in wrong]
    for process in busy:
        process.kill()
    left = [p.name for p in (work / "run").rglob("*") if p.name.endswith((".tmp", ".partial"))]
    print(
        json.dumps(
            {
                "kills": sum(kills.values()),
                **kills,
                "experiments": experiments,
                "file_operations": total,
                "files_compared": len(expected),
                "different": different,
                "left_over": left,
                "load": options.load,
                "seconds": round(time.monotonic() - began),
            }
        )
    )


if __name__ == "__main__":
    main()
