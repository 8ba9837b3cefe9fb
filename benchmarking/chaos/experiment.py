"""A small experiment on a tiny model and the fake engine, whole in seconds, that the attacks run."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SETTINGS = {
    "engine.kind": "fake",
    "queries.per_iteration": "4",
    "sampling.max_new_tokens": "12",
    "training.batch_size": "1",
    "training.micro_tokens": "2048",
    "training.max_length": "2048",
    "training.checkpoint_every": "1",
    "training.epochs": "2",
    "pair_accuracy.limit": "3",
    "benchmarks.gsm8k.limit": "4",
    "benchmarks.mt_bench.limit": "4",
}


@dataclass(frozen=True)
class Outcome:
    """What one start of the command line did."""

    code: int
    out: str
    err: str


def arguments(model: Path, out: Path, iterations: int = 1, *extra: str) -> list[str]:
    """The command of the small experiment."""
    line = ["run", "--iters", str(iterations), "--methods", "sso", "-b", "gsm8k,mt_bench"]
    line += ["--model", str(model), "--out", str(out)]
    for key, value in SETTINGS.items():
        line += ["--set", f"{key}={value}"]
    return [*line, *extra]


def call(line: list[str], cwd: Path | None = None) -> Outcome:
    """The command line in this process, with what it prints."""
    from harness.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, Path.cwd()
    sys.argv = ["sso-bench", *line]
    os.chdir(cwd or before[1])
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
    return Outcome(code, out.getvalue(), err.getvalue())


def results(run: Path) -> dict[str, bytes]:
    """Every table, score, item, pair and weight file of a run: what must not differ."""
    wanted = ("scores.json", "items.jsonl", "pairs.jsonl", "iterations.md", "iterations.csv")
    found = {}
    for file in sorted(run.rglob("*")):
        inside = file.relative_to(run)
        if any(part.startswith(".") for part in inside.parts) or not file.is_file():
            continue
        if file.name in wanted or file.suffix == ".safetensors":
            found[inside.as_posix()] = file.read_bytes()
    return found


def tiny_model(folder: Path) -> Path:
    """The tests' tiny model."""
    sys.path.insert(0, str(REPO))
    from tests.conftest import build_tiny_model

    return build_tiny_model(folder)
