"""Calls the command line in this process, as a user would in a shell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Result:
    """Exit code and output of one command."""

    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run ``sso-bench ARGS`` and catch what it prints and its exit code."""
    from harness.cli.main import main

    def run(*args: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["sso-bench", *map(str, args)])
        monkeypatch.setenv("COLUMNS", "200")
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture(autouse=True)
def own_cache(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tiny_model_dir: Path,
) -> None:
    """A cache of the test's own, so that no verdict or model comes from another run; slow tests
    keep the user's, where the quick-start model lies. The tiny model stands in it as checked, which
    takes seconds each time (``tests/harness/test_model_checks.py`` checks models)."""
    from harness.models import model_fingerprint

    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))
        note = tmp_path / "cache" / "checked-models" / model_fingerprint(tiny_model_dir)
        note.parent.mkdir(parents=True)
        note.touch()


def small(model: Path, out: Path, *extra: str) -> list[str]:
    """Arguments of a small run: a tiny model, a fake engine, few items."""
    settings = {
        "engine.kind": "fake",
        "queries.per_iteration": "6",
        "sampling.max_new_tokens": "24",
        "training.batch_size": "2",
        "training.micro_tokens": "4096",
        "training.max_length": "4096",
        "pair_accuracy.limit": "4",
        "launch.own_process": "false",  # seconds per training; test_interrupted has processes
    }
    for name in ("alpaca_eval", "mt_bench", "gpqa", "mmlu_pro", "math", "gsm8k"):
        settings[f"benchmarks.{name}.limit"] = "8" if name in ("alpaca_eval", "mt_bench") else "4"
    args = ["--model", str(model), "--out", str(out)]
    for key, value in settings.items():
        args += ["--set", f"{key}={value}"]
    return [*args, *extra]
