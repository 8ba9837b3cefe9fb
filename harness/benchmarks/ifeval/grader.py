"""IFEval's checkers as a process: strict and loose verdicts, one answer per line.

A script of its own (run by ``harness.benchmarks.grader_processes``), so that a checker that never
ends on some answer can be killed. A task has ``target`` (the row's instructions) and ``text``. The
verdicts are those of lm-eval's own ``process_results``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

LETTER_SEED = 12
"""Upstream's checker draws a letter at random where the one asked for is no letter ("#" in prompt
1122, "!" in 1129), so its verdict there is chance. Drawn here from a seed per prompt; this one gives
the two published labels."""


@lru_cache(maxsize=1)
def checkers() -> Any:
    """lm-eval's IFEval functions, loaded from their folder: importing lm-eval takes seconds.
    Language detection is made repeatable."""
    from langdetect import DetectorFactory

    DetectorFactory.seed = 0
    package = importlib.util.find_spec("lm_eval")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "tasks" / "ifeval"
    names = ("lm_eval", "lm_eval.tasks", "lm_eval.tasks.ifeval")
    for name in names:  # empty packages, so that only the checkers' own files are run
        spec = importlib.util.spec_from_loader(name, loader=None, is_package=True)
        assert spec is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.modules[names[-1]].__path__ = [str(folder)]
    return importlib.import_module("lm_eval.tasks.ifeval.utils")


def answer(task: dict[str, Any]) -> dict[str, Any]:
    """The four lists of verdicts; the checkers' random draws depend on the prompt alone."""
    random.seed(f"{LETTER_SEED}:{task['target']['key']}")
    verdicts: dict[str, Any] = checkers().process_results(task["target"], [task["text"]])
    return verdicts


def main() -> None:
    """Print ``ready``, then one answer per line until the input ends.

    What the checkers themselves print goes nowhere. An exception becomes an ``error`` of that item.
    """
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    checkers()
    out.write(b"ready\n")
    for line in sys.stdin.buffer:
        try:
            result = answer(json.loads(line))
        except Exception as error:  # a checker may raise anything on free text
            result = {"error": f"the checker failed ({type(error).__name__}: {error})"[:300]}
        out.write(json.dumps(result).encode() + b"\n")


if __name__ == "__main__":
    main()
