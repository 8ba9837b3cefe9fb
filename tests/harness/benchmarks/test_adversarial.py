"""Degenerate answers, as small or broken models write them: every extractor and checker ends.

The graders run in a child process with a bound on its CPU time, many times what they need; a
pattern of polynomial time would need hours.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

PIECES = (
    *("\n", " ", "a", "9", "9,", "1 ", "-", "$", "(", "(A", "A ", "I ", "**", "'", "{", "\\"),
    *("####", "#### ", "answer", "answer is ", "Answer: ", "the answer is (", "\\boxed{", "<<"),
    *("\\frac{1}{", "option is ", "<think>", "</think>", "```", "Answer: 3 + 3 = ", "é", "\u2028"),
)
CPU_SECONDS = 240

CHILD = """
import sys
from harness.benchmarks import BENCHMARKS, get_benchmark, load_protocols
from harness.benchmarks.aggregate import Header
from harness.benchmarks.answer_key import ObjectiveBenchmark

TARGETS = {
    "gsm8k": {"question": "", "answer": "#### 3"},
    "mmlu_pro": {"answer": "A", "options": 10},
    "gpqa": {"answer": "A"},
    "mmlu": {"answer": 0},
}
name, size = sys.argv[1], int(sys.argv[2])
benchmark = get_benchmark(name)
for spec in load_protocols(name):
    rows = [
        {"item_id": str(k), "target": TARGETS[name], "output": piece * (size // len(piece))}
        for k, piece in enumerate(eval(sys.argv[3]))
    ]
    header = Header(name, "p", str(spec.settings["metric"]))
    assert len(benchmark.score_rows(rows, spec.settings, header).items) == len(rows)
    break  # the grader applies every extraction, whatever the protocol
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gsm8k", "mmlu_pro", "gpqa", "mmlu"])
def test_every_extractor_ends_on_a_megabyte_of_anything(name: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, name, "1000000", repr(PIECES)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS)),
    )
    assert child.stdout.strip().endswith("done"), child.stderr[-2000:]
