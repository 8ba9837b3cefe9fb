"""The registry of benchmarks: one line per benchmark, its name and its package."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from groundwork.errors import did_you_mean
from harness.benchmarks.base import Benchmark
from harness.errors import ProtocolError

BENCHMARKS: dict[str, str] = {
    "alpaca_eval": "harness.benchmarks.alpaca_eval",
    "mt_bench": "harness.benchmarks.mt_bench",
    "gpqa": "harness.benchmarks.gpqa",
    "mmlu_pro": "harness.benchmarks.mmlu_pro",
    "math": "harness.benchmarks.math",
    "gsm8k": "harness.benchmarks.gsm8k",
    "mmlu": "harness.benchmarks.mmlu",
    "ifeval": "harness.benchmarks.ifeval",
    "arena_hard": "harness.benchmarks.arena_hard",
    "rewardbench": "harness.benchmarks.rewardbench",
    "rewardbench2": "harness.benchmarks.rewardbench2",
}
"""Name to package; the package holds ``BENCHMARK`` and a folder ``protocols``."""


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        ProtocolError: no such benchmark; the nearest one is named.
    """
    benchmark: Benchmark = import_module(_package(name)).BENCHMARK
    return benchmark


def benchmark_folder(name: str) -> Path:
    """The folder of a benchmark's package. Raises as ``get_benchmark``."""
    spec = find_spec(_package(name))
    return Path(str(spec and spec.origin)).parent


def _package(name: str) -> str:
    if name not in BENCHMARKS:
        raise ProtocolError(f"no benchmark {name!r} ({did_you_mean(name, BENCHMARKS, cutoff=0.4)})")
    return BENCHMARKS[name]
