"""Scoring saved raw answers again, under another protocol's extraction and metric.

Nothing is generated and no data source is needed: an ``outputs.jsonl`` holds each item's target.
Other tools' files work where they carry the benchmark's own fields beside the model's text, among
them the ``samples_*.jsonl`` of lm_eval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundwork.errors import did_you_mean
from groundwork.reasoning import more_markers
from harness.benchmarks import BENCHMARKS, get_benchmark, load_protocol
from harness.benchmarks.aggregate import Header, flat, protocol_id
from harness.benchmarks.answer_key import ObjectiveBenchmark
from harness.benchmarks.answers_file import OUTPUTS, saved_lines
from harness.benchmarks.base import Outcome, ProtocolSpec
from harness.benchmarks.saved_answers import (
    answer_field,
    harness_sample,
    is_harness_sample,
    read_text,
)
from harness.errors import DataError, ProtocolError


def rescore(
    file: str | Path,
    protocol: str | ProtocolSpec,
    answer_field: str | None = None,
    markers: Sequence[Sequence[str]] = (),
) -> Outcome:
    """Score a file of saved answers: an ``outputs.jsonl``, an evaluation's folder, lm_eval's samples,
    or JSON lines with the model's text and the key.

    ``protocol`` is ``benchmark/name`` (``gsm8k/community``), or a loaded ``ProtocolSpec``;
    ``answer_field`` names the field of the model's text where several could be it, ``markers`` are
    opening and closing tags of reasoning that the model has of its own.

    Raises:
        ProtocolError: no such protocol, or a benchmark whose scores come from a judge.
        DataError: no such file, or a line without an answer or key (file and line).
    """
    spec = protocol if isinstance(protocol, ProtocolSpec) else find_protocol(protocol)
    benchmark = get_benchmark(spec.benchmark)
    if benchmark.info.measures == "reward":
        raise ProtocolError(
            f"{spec.benchmark} scores a reward model, not answers: sso-bench eval DIR --benchmarks "
            f"{spec.benchmark}"
        )
    if not isinstance(benchmark, ObjectiveBenchmark):
        raise ProtocolError(
            f"{spec.benchmark} is scored by a judge: recompute it from its saved judgments instead"
        )
    path = Path(file)
    path = path / OUTPUTS if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"no file {path} to score")
    rows = _rows(benchmark, path, answer_field)
    settings = {"extraction": spec.settings.get("extraction"), "metric": spec.settings["metric"]}
    own = {"reasoning_markers": [list(pair) for pair in markers]} if markers else {}
    header = Header(
        benchmark=spec.benchmark,
        protocol=protocol_id(spec, {**spec.settings, **own, "source": "rescored"}) + "/rescored",
        headline=str(settings["metric"]),
        settings=flat({**settings, **own, "file": path.name}),
        data="rescored",
        marks=tuple(spec.marks),
    )
    with more_markers(markers):
        return benchmark.score_rows(rows, spec.settings, header).described(benchmark.info)


def find_protocol(name: str) -> ProtocolSpec:
    """``benchmark/protocol``, or ``benchmark`` alone for its community protocol."""
    benchmark, _, protocol = name.partition("/")
    get_benchmark(benchmark)
    return load_protocol(benchmark, protocol or "community")


def _rows(benchmark: ObjectiveBenchmark, path: Path, field: str | None) -> list[dict[str, Any]]:
    """Every line in our own form; lm_eval's samples hold a line per filter, of which one counts."""
    rows, samples = [], set()
    for number, (line, row) in enumerate(saved_lines(path), 1):
        if is_harness_sample(row):
            if str(row.get("doc_id")) in samples:
                continue
            samples.add(str(row.get("doc_id")))
        rows.append(_line(benchmark, row, f"{path}:{line}", number, field))
    if not rows:
        raise DataError(f"{path} holds no answers")
    return rows


def _line(
    benchmark: ObjectiveBenchmark,
    row: Mapping[str, Any],
    where: str,
    number: int,
    field: str | None,
) -> dict[str, Any]:
    """A saved line in our own form."""
    if isinstance(row.get("target"), Mapping) and field is None:
        return _own(benchmark, row, where, number)
    source = row["doc"] if is_harness_sample(row) else row
    target = benchmark.target_of(source, where)
    if is_harness_sample(row):
        saved = harness_sample(row)
    else:
        if field is not None and field not in row:
            raise DataError(f"{where}: the row has no field {field!r} ({did_you_mean(field, row)})")
        saved = read_text(row[field or answer_field(row, benchmark.own_fields, where)])
    item = next(
        (row[k] for k in ("item_id", "question_id", "key", "unique_id", "doc_id") if k in row),
        number,
    )
    return {
        "item_id": str(item),
        "category": str(source.get("category") or source.get("subject") or ""),
        "task": "",
        "target": dict(target),
        "output": saved.text,
        "logprobs": list(saved.logprobs),
        "truncated": bool(row.get("truncated")),
        "error": saved.error,
    }


def _own(
    benchmark: ObjectiveBenchmark, row: Mapping[str, Any], where: str, number: int
) -> dict[str, Any]:
    """A line of an ``outputs.jsonl``, which must be one of this benchmark."""
    origin = str(row.get("item_id", "")).partition("/")[0]
    if origin in BENCHMARKS and origin != benchmark.name:
        raise DataError(f"{where}: an answer to {origin}, not to {benchmark.name}")
    if not any(row.get(name) is not None for name in ("output", "logprobs", "error")):
        return {"item_id": str(number), **row, "error": read_text(row.get("output")).error}
    return {"item_id": str(number), **row}
