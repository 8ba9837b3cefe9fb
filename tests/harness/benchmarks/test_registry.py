"""The registry of benchmarks."""

from __future__ import annotations

import pytest

from harness.benchmarks.registry import BENCHMARKS, benchmark_folder, get_benchmark
from harness.errors import ProtocolError


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_line_is_a_benchmark_with_its_facts(name: str) -> None:
    benchmark = get_benchmark(name)
    assert benchmark.name == name
    assert benchmark.info.title
    assert benchmark.info.columns
    assert (benchmark.info.minimum_effect or 0) > 0
    assert list((benchmark_folder(name) / "protocols").glob("*.yaml"))


def test_columns_of_all_benchmarks_are_distinct() -> None:
    columns = [column for name in BENCHMARKS for column in get_benchmark(name).info.columns]
    assert len({column.key for column in columns}) == len(columns)
    assert len({column.order for column in columns}) == len(columns)


def test_the_nearest_name_is_given() -> None:
    with pytest.raises(ProtocolError, match=r"no benchmark 'gsm9k' \(did you mean 'gsm8k'"):
        get_benchmark("gsm9k")
    with pytest.raises(ProtocolError, match="there are: alpaca_eval"):
        benchmark_folder("zzz")
