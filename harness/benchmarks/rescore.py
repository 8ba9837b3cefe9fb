"""Scoring saved raw answers again, under another protocol's extraction and metric.

Nothing is generated and no data source is needed: an ``outputs.jsonl`` holds each item's target.
Other tools' files work where a benchmark knows their fields (the model's text and the key).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.benchmarks import get_benchmark, load_protocol
from harness.benchmarks.aggregate import Header, flat, protocol_id
from harness.benchmarks.answer_key import ObjectiveBenchmark
from harness.benchmarks.answers_file import read_saved
from harness.benchmarks.base import Outcome, ProtocolSpec
from harness.errors import DataError, ProtocolError

TEXT_FIELDS = ("output", "logprobs", "solution", "response", "model_outputs", "error")


def rescore(file: str | Path, protocol: str | ProtocolSpec) -> Outcome:
    """Score a file of saved answers: an ``outputs.jsonl``, an evaluation's folder, or JSON lines with
    the model's text and the key.

    ``protocol`` is ``benchmark/name`` (``gsm8k/community``), or a loaded ``ProtocolSpec``.

    Raises:
        ProtocolError: no such protocol, or a benchmark whose scores come from a judge.
        DataError: no such file, or a line without an answer or key (file and line).
    """
    spec = protocol if isinstance(protocol, ProtocolSpec) else find_protocol(protocol)
    benchmark = get_benchmark(spec.benchmark)
    if not isinstance(benchmark, ObjectiveBenchmark):
        raise ProtocolError(
            f"{spec.benchmark} is scored by a judge: recompute it from its saved judgments instead"
        )
    path = Path(file)
    path = path / "outputs.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"no file {path} to score")
    rows = [
        _line(benchmark, row, f"{path}:{number}", number)
        for number, row in enumerate(read_saved(path), 1)
    ]
    settings = {"extraction": spec.settings.get("extraction"), "metric": spec.settings["metric"]}
    header = Header(
        benchmark=spec.benchmark,
        protocol=protocol_id(spec, {**spec.settings, "source": "rescored"}) + "/rescored",
        headline=str(settings["metric"]),
        settings=flat({**settings, "file": path.name}),
        data="rescored",
        marks=tuple(spec.marks),
    )
    return benchmark.score_rows(rows, spec.settings, header).described(benchmark.info)


def find_protocol(name: str) -> ProtocolSpec:
    """``benchmark/protocol``, or ``benchmark`` alone for its community protocol."""
    benchmark, _, protocol = name.partition("/")
    get_benchmark(benchmark)
    return load_protocol(benchmark, protocol or "community")


def _line(
    benchmark: ObjectiveBenchmark, row: Mapping[str, Any], where: str, number: int
) -> dict[str, Any]:
    """A saved line in our own form; other tools' lines go through the benchmark's ``saved``."""
    if not any(field in row for field in TEXT_FIELDS):
        raise DataError(f"{where}: the row has no answer ({', '.join(TEXT_FIELDS[:5])})")
    if "target" in row:
        return {"item_id": str(number), **row}
    if benchmark.saved is None:
        raise DataError(f"{where}: the row has no 'target'")
    answer = benchmark.saved(row)
    missing = [key for key, value in answer.target.items() if value in (None, "", "#### ")]
    if any(key in ("answer", "solution") for key in missing):
        raise DataError(f"{where}: the row has no answer key ('ground_truth' or 'answer')")
    return {
        "item_id": str(row.get("item_id", row.get("question_id", row.get("key", number)))),
        "category": str(row.get("category") or row.get("subject") or ""),
        "task": answer.task,
        "target": dict(answer.target),
        "output": answer.text,
        "truncated": bool(row.get("truncated")),
    }
