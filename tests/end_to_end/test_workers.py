"""Several processes on one run: the same records and tables as one after another; a killed worker is replaced."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Call, small
from tests.end_to_end.test_interrupted import start, wait_for

OF_THE_MOMENT = ("started", "seconds", "peak_memory_gb", "measures", "outputs", "shown")
"""Fields of a record that hold times."""


def records(run: Path) -> dict[str, dict[str, Any]]:
    """What every stage recorded, but for times."""
    found = {}
    for file in sorted(run.glob("[!.]*/**/stage.json")):
        raw = json.loads(file.read_text())
        texts = {
            n: o for n, o in raw["outputs"].items() if n.endswith(("pairs.jsonl", ".safetensors"))
        }
        kept = {k: v for k, v in raw.items() if k not in (*OF_THE_MOMENT, "checksum")}
        found[file.parent.relative_to(run).as_posix()] = {**kept, "texts": texts}
    return found


def arguments(model: Path, out: Path) -> list[str]:
    return [
        "run",
        "--iters",
        "1",
        "--methods",
        "pbaa,ultrafeedback",
        *small(model, out, "-b", "gsm8k"),
    ]


@pytest.mark.slow
def test_side_by_side_and_by_joining_gives_what_the_sequence_gives(
    call: Call, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))
    one, two, joined = (tmp_path / name for name in ("one", "two", "joined"))
    assert call(*arguments(tiny_model_dir, one)).code == 0
    done = call(*arguments(tiny_model_dir, two), "--workers", "2")
    assert done.code == 0, done.err
    assert records(two) == records(one)

    first = start(arguments(tiny_model_dir, joined), tmp_path / "cache")
    wait_for(joined / "base" / "eval" / "gsm8k" / "stage.json", first)
    second = start(["work", str(joined)], tmp_path / "cache")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    out, error = second.communicate(timeout=300)
    assert second.returncode == 0, error
    assert "stages run in" in out
    assert records(joined) == records(one)
    tables = [(run / "tables" / "iterations.md").read_text() for run in (one, two, joined)]
    assert tables[0] == tables[1] == tables[2]
