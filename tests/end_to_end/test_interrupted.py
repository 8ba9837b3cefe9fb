"""Runs that are stopped, killed or locked, and what the next one makes of them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import small
from tests.end_to_end.test_run import pairs, scores

COMMAND = [sys.executable, "-c", "from harness.cli.main import main; main()"]


def start(args: list[str], cache: Path) -> subprocess.Popen[str]:
    """The command line in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "SSO_BENCH_CACHE": str(cache)},
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until the file is there."""
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_says_how_to_resume_and_a_second_writer_is_refused(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    args = [
        "run",
        "--iters",
        "2",
        *small(tiny_model_dir, out, "-b", "gsm8k", "--set", "launch.own_process=true"),
    ]
    first = start(args, tmp_path / "cache")
    wait_for(out / "base" / "eval" / "gsm8k" / "stage.json", first)

    second = start(args, tmp_path / "cache")
    _, error = second.communicate(timeout=120)
    assert second.returncode == 2
    assert f"in use by process {first.pid}" in error

    os.killpg(first.pid, signal.SIGINT)
    _, error = first.communicate(timeout=120)
    assert first.returncode == 130
    assert "Resume with" in error
    assert "sso-bench run --iters 2" in error
    assert "Traceback" not in error


@pytest.mark.slow
def test_two_kills_at_random_moments_change_nothing(tiny_model_dir: Path, tmp_path: Path) -> None:
    def args(name: str) -> list[str]:
        few = small(tiny_model_dir, tmp_path / name, "-b", "gsm8k,mt_bench")
        return ["run", "--iters", "2", *few]

    whole = start(args("whole"), tmp_path / "cache-a")
    began = time.monotonic()
    _, error = whole.communicate(timeout=600)
    assert whole.returncode == 0, error
    took = time.monotonic() - began

    moments = random.Random(17)
    for _ in range(2):
        process = start(args("killed"), tmp_path / "cache-b")
        time.sleep(took * moments.uniform(0.25, 0.6))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    last = start(args("killed"), tmp_path / "cache-b")
    _, error = last.communicate(timeout=600)
    assert last.returncode == 0, error
    assert pairs(tmp_path / "killed") == pairs(tmp_path / "whole")
    assert scores(tmp_path / "killed") == scores(tmp_path / "whole")
    tables = [tmp_path / name / "tables" / "iterations.md" for name in ("killed", "whole")]
    assert tables[0].read_text() == tables[1].read_text()
