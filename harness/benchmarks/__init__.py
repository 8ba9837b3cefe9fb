"""The benchmarks: one folder per benchmark behind one contract (``base.Benchmark``).

In: a data source, a named protocol, an engine, for two of them a judge. Out: ``outputs.jsonl`` with
the raw answers, item scores, scores with a protocol id. To add a benchmark, write a package with
``BENCHMARK`` and a folder ``protocols``, and add its line to ``registry.BENCHMARKS``; all that
tables, plots, the gate, planning and the contamination check need stands on that object.
"""

from __future__ import annotations

from harness.benchmarks.base import Benchmark, EvalRequest, Outcome, ProtocolSpec, Workload
from harness.benchmarks.protocols import load_protocol, load_protocols, protocol_names
from harness.benchmarks.registry import BENCHMARKS, get_benchmark


def all_protocols() -> list[ProtocolSpec]:
    """Every shipped protocol, benchmark by benchmark."""
    return [spec for name in BENCHMARKS for spec in load_protocols(name)]


__all__ = [
    "BENCHMARKS",
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
