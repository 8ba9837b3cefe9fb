"""The MATH grader by itself: both verdicts, and what goes wrong on free text."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.benchmarks.math import GRADER
from harness.benchmarks.math.grader import answer


@pytest.mark.parametrize(
    ("text", "math_verify", "minerva"),
    [
        (r"So it is $\boxed{\frac{1}{2}}$.", 1, 0),
        (r"Final Answer: The final answer is $\frac{1}{2}$. I hope it is correct.", 1, 1),
        (r"$\boxed{0.5}$", 1, 0),
        (r"$\boxed{\frac{1}{3}}$", 0, 0),
        ("no idea", 0, 0),
    ],
)
def test_verdicts(text: str, math_verify: int, minerva: int) -> None:
    task = {"solution": r"Thus $\boxed{\frac{1}{2}}$.", "answer": r"\frac{1}{2}", "text": text}
    found = answer(task)
    assert (found["math_verify"], found["minerva"]) == (math_verify, minerva)


def test_the_process_answers_line_by_line_and_survives_what_it_cannot_read() -> None:
    task = {"solution": r"$\boxed{3}$", "answer": "3", "text": r"$\boxed{3}$"}
    lines = [json.dumps(task), "{}", json.dumps(task)]
    done = subprocess.run(
        [sys.executable, str(GRADER)],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    ready, *answers = done.stdout.splitlines()
    assert ready == "ready"
    first, second, third = map(json.loads, answers)
    assert first["math_verify"] == third["math_verify"] == 1
    assert second == {"error": "grading failed: KeyError"}
