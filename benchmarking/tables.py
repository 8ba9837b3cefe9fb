"""How long aggregation, tables and the report take.

Writes a synthetic set of run folders (one million item scores from 60 checkpoints by default) and a
run of the size of the three-arm quick start, then measures each in a process of its own, so that
peak memory (VmHWM) is that process's.

    python benchmarking/tables.py [--items 1000000] [--json FILE]

``aggregate_seconds``: from run folders to the rendered table with every paired test, standard error
and detectable difference, imports included. ``report_seconds``: the HTML report of the three-arm run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leaderboards.records import Score

BENCHMARKS = {
    "gsm8k": 0.08, "math": 0.30, "gpqa": 0.03, "mmlu_pro": 0.50, "mt_bench": 0.01,
    "alpaca_eval": 0.05, "ifeval": 0.03,
}  # fmt: skip
"""Benchmarks and their shares of a checkpoint's items, about as in the full suite."""
ARMS = ("sso", "pbaa", "ultrafeedback")
SENTENCE = "First count the boxes, then multiply by the price of each, and the answer follows. "

TABLE = """
import json, sys, time
started = time.perf_counter()
from leaderboards import load_runs, iteration_table
from leaderboards.formats.markdown import render
text = render(iteration_table(load_runs(sys.argv[1:])))
print(json.dumps({"seconds": time.perf_counter() - started, "lines": text.count("\\n")}))
"""
REPORT = """
import json, sys, time
from pathlib import Path
started = time.perf_counter()
from leaderboards.report import write_report
path = write_report(sys.argv[1:-1], Path(sys.argv[-1]))
print(json.dumps({"seconds": time.perf_counter() - started, "bytes": path.stat().st_size}))
"""


def write_run(
    root: Path,
    name: str,
    checkpoints: Iterable[tuple[str, int]],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
    answers: bool,
) -> Path:
    """One run folder with ``sizes[benchmark]`` items per checkpoint, with answers on request."""
    run = root / name
    run.mkdir(parents=True)
    info = {
        "schema": 1,
        "name": name,
        "model": name,
        "created": "2026-01-01T00:00:00",
        "arms": ARMS,
    }
    (run / "run.json").write_text(json.dumps(info))
    for arm, iteration in checkpoints:
        at = run / "base" if arm == "base" else run / arm / f"iter-{iteration}"
        for benchmark, n in sizes.items():
            folder = at / "eval" / benchmark
            folder.mkdir(parents=True)
            values = (rng.random(n) < 0.4 + 0.02 * iteration).astype(float)
            _write_eval(folder, benchmark, values, arm, iteration, answers)
        if arm != "base":
            (at / "policy").mkdir(parents=True)
            stage = {"schema": 1, "stage": f"{arm}/iter-{iteration}/policy", "kind": "train",
                     "status": "done", "seconds": 60.0, "tokens": 100_000}  # fmt: skip
            (at / "policy" / "stage.json").write_text(json.dumps(stage))
            curve = "".join(json.dumps({"step": i, "loss": 25 / i}) + "\n" for i in range(1, 40))
            (at / "policy" / "curve.jsonl").write_text(curve)
    return run


def _write_eval(
    folder: Path, benchmark: str, values: Sequence[float], arm: str, iteration: int, answers: bool
) -> None:
    n, mean = len(values), float(np.mean(values))
    score = Score(
        benchmark=benchmark, metric="accuracy", value=100 * mean, n=n, n_expected=n,
        stderr=100 * float(np.std(values, ddof=1) / np.sqrt(n)), protocol=f"{benchmark}@1",
        headline=True, arm=arm, iteration=iteration,
    )  # fmt: skip
    (folder / "scores.json").write_text(f"[{score.model_dump_json()}]")
    line = ('{{"v":1,"benchmark":"{b}","item_id":"{b}-{i}","values":{{"accuracy":{x}}},"category":"c{c}",'
            '"cluster":"","truncated":false,"unparsed":false,"error":"","prompt_hash":"0123456789abcdef",'
            '"extracted":"{i}"}}\n')  # fmt: skip
    with (folder / "items.jsonl").open("w") as file:
        file.writelines(line.format(b=benchmark, i=i, x=x, c=i % 14) for i, x in enumerate(values))
    if answers:
        with (folder / "outputs.jsonl").open("w") as file:
            for i in range(n):
                row = {
                    "item_id": f"{benchmark}-{i}",
                    "prompt": SENTENCE * 4,
                    "output": f"{i} {SENTENCE * 8}",
                }
                file.write(json.dumps(row) + "\n")
    stage = {
        "schema": 1,
        "stage": f"{arm}/{iteration}/{benchmark}",
        "kind": "eval",
        "status": "done",
    }
    (folder / "stage.json").write_text(json.dumps({**stage, "seconds": 30.0, "tokens": 9000}))


def measured(code: str, *arguments: str) -> dict[str, Any]:
    """Run ``code`` in a process of its own; its JSON line plus ``peak_gb`` and ``wall`` seconds."""
    tail = (
        "\nimport pathlib\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) / 1024**2)\n"
    )
    started = time.perf_counter()
    command = [sys.executable, "-c", code + tail, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - started
    lines = done.stdout.strip().splitlines()
    return {**json.loads(lines[-2]), "peak_gb": float(lines[-1]), "wall": wall}


def main() -> int:
    """Write the folders, measure, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000, help="item scores in all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    steps = [("base", 0), *((arm, step) for arm in ARMS for step in (1, 2, 3))]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        each = options.items / 60
        sizes = {name: round(each * share) for name, share in BENCHMARKS.items()}
        runs = [write_run(root, f"model-{i}", steps, sizes, rng, False) for i in range(6)]
        small = {name: 24 for name in BENCHMARKS}
        quick = write_run(root / "quick", "quickstart", steps, small, rng, True)
        table = measured(TABLE, *map(str, runs))
        report = measured(REPORT, str(quick), str(root / "report.html"))
    result = {
        "item_scores": 60 * sum(sizes.values()),
        "checkpoints": 60,
        "aggregate_seconds": round(table["wall"], 2),
        "aggregate_peak_gb": round(table["peak_gb"], 3),
        "table_lines": table["lines"],
        "report_seconds": round(report["wall"], 2),
        "report_peak_gb": round(report["peak_gb"], 3),
        "report_megabytes": round(report["bytes"] / 1e6, 2),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
