"""``sso-bench watch`` as a process: a signal is a clean stop, and the same line goes on."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import small
from tests.end_to_end.test_interrupted import start, wait_for


@pytest.mark.slow
def test_a_signal_ends_it_cleanly_and_the_same_line_goes_on(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "sft", tmp_path / "out"
    shutil.copytree(tiny_model_dir, folder / "checkpoint-10")
    args = ["watch", str(folder), *small(tiny_model_dir, out, "-b", "gsm8k,math", "--every", "0.1")]
    stages = [out / "sft" / f"iter-{n}" / "eval" for n in (10, 20)]

    process = start(args, tmp_path / "cache")
    wait_for(stages[0] / "gsm8k" / "generations.jsonl", process)  # in the middle of an evaluation
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    assert "interrupted; finished work is kept. Resume with:\n  sso-bench watch " in said
    assert "Traceback" not in said
    before = (stages[0] / "gsm8k" / "generations.jsonl").read_bytes().splitlines()

    shutil.rmtree(out / "tables", ignore_errors=True)
    process = start(args, tmp_path / "cache")
    wait_for(out / "tables" / "iterations.csv", process)  # waiting for the next checkpoint
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    assert "Resume with:\n  sso-bench watch " in said
    first = {f: f.read_bytes() for f in stages[0].glob("*/stage.json")}
    after = (stages[0] / "gsm8k" / "generations.jsonl").read_bytes().splitlines()
    assert set(before) <= set(after)
    assert len(after) == len({json.loads(line)["key"] for line in after})

    shutil.copytree(tiny_model_dir, folder / "checkpoint-20")
    process = start([*args, "--once"], tmp_path / "cache")
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    records = [json.loads(f.read_text()) for s in stages for f in s.glob("*/stage.json")]
    assert [record["status"] for record in records] == ["done"] * 4
    assert {f: f.read_bytes() for f in first} == first  # evaluated once
    assert not list((out / ".claims").glob("*/*.json"))
