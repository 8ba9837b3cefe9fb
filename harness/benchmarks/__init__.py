"""The benchmarks: one folder each, behind one contract (``base.Benchmark``).

In: a data source, a named protocol, an engine, for two of them a judge. Out: ``outputs.jsonl`` with
the raw answers, item scores, scores with a protocol id. Adding a benchmark is a folder here, with
``BENCHMARK`` in its ``__init__.py``, and its name in ``NAMES``.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from harness.benchmarks.base import Benchmark, EvalRequest, Outcome, ProtocolSpec, Workload
from harness.benchmarks.protocols import load_protocol, load_protocols, protocol_names
from harness.errors import ProtocolError

NAMES = ("alpaca_eval", "mt_bench", "gpqa", "mmlu_pro", "math", "gsm8k", "mmlu", "ifeval")


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        ProtocolError: no such benchmark; the nearest one is named.
    """
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(NAMES)}"
        raise ProtocolError(f"no benchmark {name!r} ({hint})")
    benchmark: Benchmark = import_module(f"harness.benchmarks.{name}").BENCHMARK
    return benchmark


def all_protocols() -> list[ProtocolSpec]:
    """Every shipped protocol, benchmark by benchmark."""
    return [spec for name in NAMES for spec in load_protocols(name)]


__all__ = [
    "NAMES",
    "Benchmark",
    "EvalRequest",
    "Outcome",
    "ProtocolSpec",
    "Workload",
    "all_protocols",
    "get_benchmark",
    "load_protocol",
    "load_protocols",
    "protocol_names",
]
