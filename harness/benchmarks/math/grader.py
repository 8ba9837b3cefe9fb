"""The MATH grader as a process: Math-Verify and minerva's comparison, one answer per line.

A script of its own (run by ``harness.benchmarks.grader_processes``) that imports nothing of this package, so
that it starts in a second or two. A task has ``solution`` and ``answer`` (the key) and ``text`` (the
model's). The verdicts are those of lm-eval's own ``process_results`` for its minerva tasks:
``math_verify`` (Math-Verify on the whole texts) and ``minerva`` (its normalisation and sympy).
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any


@lru_cache(maxsize=1)
def minerva() -> Any:
    """lm-eval's minerva functions, loaded from their file: importing lm-eval takes seconds."""
    package = importlib.util.find_spec("lm_eval")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).parent / "tasks" / "minerva_math" / "utils.py"
    spec = importlib.util.spec_from_file_location("minerva_utils", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answer(task: dict[str, str]) -> dict[str, Any]:
    """Both verdicts (0 or 1), and the answer that Math-Verify read off the text, if any."""
    from math_verify import parse

    key = minerva().normalize_final_answer(task["answer"])
    doc = {"solution": task["solution"], "answer": key}
    verdicts = minerva().process_results(doc, [task["text"]])
    parsed = parse(task["text"])
    return {
        "math_verify": int(verdicts["math_verify"]),
        "minerva": int(verdicts["exact_match"]),
        "parsed": str(parsed[-1]) if parsed else None,
    }


def main() -> None:
    """Print ``ready``, then one answer per line until the input ends.

    What the graders themselves print goes nowhere. An exception becomes an ``error`` of that item.
    """
    answer({"solution": r"\boxed{1}", "answer": "1", "text": "1"})
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    out.write(b"ready\n")
    for line in sys.stdin.buffer:
        try:
            result = answer(json.loads(line))
        except Exception as error:  # a grader may raise anything on free text
            result = {"error": f"grading failed: {type(error).__name__}"}
        out.write(json.dumps(result).encode() + b"\n")


if __name__ == "__main__":
    main()
