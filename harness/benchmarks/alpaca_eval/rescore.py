"""Figures from saved judgments, with no judge: ``annotations.json`` as alpaca_eval writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.benchmarks.alpaca_eval.benchmark import (
    PUBLISHED_ANNOTATOR,
    PUBLISHED_JUDGES,
    header_of,
    prepare,
)
from harness.benchmarks.alpaca_eval.files import Instruction, read_annotations
from harness.benchmarks.alpaca_eval.scoring import Judged, outcome
from harness.benchmarks.base import EvalRequest, Outcome
from harness.benchmarks.judged import JudgedBy, error_text, judge_protocol
from harness.benchmarks.judged_twice import Duplicates, settle
from harness.errors import DataError


def rescore_annotations(
    path: Path,
    request: EvalRequest,
    *,
    by_position: bool = False,
    duplicates: Duplicates = "refuse",
) -> Outcome:
    """Win rates and length of saved annotations (ours, or published ones; gzip is fine).

    Instructions of the request (the full set, or the ones its limit draws) without an annotation
    count as missing. ``by_position`` pairs rows with difficulties by their place in the file, as
    alpaca_eval does: with rows missing that pairs wrongly, and some published figures include it.

    Raises:
        DataError: a malformed row, an instruction that the data source does not have or that comes
            twice, or rows of several models or judges.
    """
    task = prepare(request)
    rows = settle(
        read_annotations(path),
        lambda row: str(row["instruction"]),
        lambda row: row["preference"] is not None,
        duplicates,
        lambda row: f"{path}: {row['instruction'][:60]!r}",
    )
    if not rows:
        raise DataError(f"{path}: holds no annotation")
    model = _single(path, rows, "generator_2")
    pairs = _matched(path, rows, task.instructions, by_position)
    judged = [
        Judged(
            # Lengths are those of the answers that were judged, whatever the source has now.
            instruction=replace(instruction, baseline_output=row["output_1"]),
            output=row["output_2"],
            preference=row["preference"],
            state=_state(row),
            error=error_text(_state(row), {}),
            truncated=bool(row.get("truncated")),
        )
        for instruction, row in pairs
    ]
    by = _judge_of(path, rows)
    settings = {**task.settings, "generation": "saved"}
    for key in ("max_new_tokens", "temperature", "top_p"):
        settings.pop(key, None)
    header = header_of(request, replace(task, settings=settings), by)
    header = replace(header, settings={**header.settings, "generator": model})
    if by_position:
        header = replace(header, protocol=f"{header.protocol}/by-position")
    return outcome(judged, len(task.instructions), task.control, task.settings["glm"], header)


def _matched(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    instructions: Sequence[Instruction],
    by_position: bool,
) -> list[tuple[Instruction, Mapping[str, Any]]]:
    by_text = {i.instruction: i for i in instructions}
    pairs = []
    for number, row in enumerate(rows):
        found = by_text.get(row["instruction"])
        if found is None:
            raise DataError(f"{path}: entry {number} is about no instruction of the request")
        pairs.append((replace(found, index=number) if by_position else found, row))
    return pairs


def _state(row: Mapping[str, Any]) -> str:
    return str(row.get("state") or ("ok" if row["preference"] is not None else "missing"))


def _judge_of(path: Path, rows: Sequence[Mapping[str, Any]]) -> JudgedBy:
    name = _single(path, rows, "annotator")
    snapshot = str(rows[0].get("judge") or name)
    asked = judge_protocol(str(row.get("judge_protocol") or "") for row in rows)
    if name == PUBLISHED_ANNOTATOR:
        return JudgedBy(PUBLISHED_JUDGES[0], snapshot, asked or name)
    return JudgedBy(name, snapshot, asked, comparable=not snapshot.startswith("local"))


def _single(path: Path, rows: Sequence[Mapping[str, Any]], key: str) -> str:
    values = sorted({str(row.get(key, "")) for row in rows})
    if len(values) != 1:
        raise DataError(f"{path}: rows of several {key}s ({', '.join(values[:4])}): split the file")
    return values[0]
