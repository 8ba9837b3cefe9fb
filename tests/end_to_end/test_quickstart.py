"""The quick start itself, smaller: a real model, real training, real scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call
from tests.end_to_end.test_run import scores

SMALLER = {
    "queries.per_iteration": "4",
    "sampling.max_new_tokens": "32",
    "pair_accuracy.limit": "4",
    "benchmarks.alpaca_eval.limit": "5",
    "benchmarks.mt_bench.limit": "8",
    "benchmarks.gpqa.limit": "4",
    "benchmarks.mmlu_pro.limit": "4",
    "benchmarks.math.limit": "4",
    "benchmarks.gsm8k.limit": "4",
}


@pytest.mark.slow
def test_one_iteration_on_the_quick_start_model(
    call: Call, smollm2_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    args = ["run", "--iters", "1", "--model", smollm2_dir, "--out", out]
    for key, value in SMALLER.items():
        args += ["--set", f"{key}={value}"]
    done = call(*args)
    assert done.code == 0, done.err
    found = scores(out)
    assert len(found) == 13
    moved = json.loads((out / "sso/iter-1/policy/stage.json").read_text())["measures"]
    assert moved["grad_norm"] > 0
    pairs = [
        json.loads(line) for line in (out / "sso/iter-1/pairs/pairs.jsonl").read_text().splitlines()
    ]
    assert pairs
    assert all(pair["chosen"] != pair["rejected"] for pair in pairs)
