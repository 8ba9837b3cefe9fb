"""Figures from saved judgments of others, told apart by their fields; no judge is called.

Answers that were judged twice are settled as ``harness.benchmarks.judged_twice`` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from groundwork.errors import did_you_mean
from groundwork.files import numbered_rows
from harness.benchmarks.base import EvalRequest, Outcome
from harness.benchmarks.judged_twice import Duplicates
from harness.data.sources import DataSource
from harness.errors import DataError


def score_judgments(
    file: Path,
    data: DataSource,
    model: str | None = None,
    duplicates: str = "refuse",
    *,
    by_position: bool = False,
) -> Outcome:
    """Scores of AlpacaEval annotations or FastChat judgments.

    Raises:
        DataError: another kind of file, another baseline, items judged twice, unknown items.
    """
    from harness.benchmarks import load_protocol
    from harness.benchmarks.alpaca_eval.rescore import rescore_annotations
    from harness.benchmarks.mt_bench.rescore import rescore_judgments

    if duplicates not in get_args(Duplicates):
        hint = did_you_mean(duplicates, get_args(Duplicates))
        raise DataError(f"no rule {duplicates!r} for duplicates ({hint})")
    rule: Duplicates = duplicates  # type: ignore[assignment]
    rows = numbered_rows(file)
    fields = set(rows[0][1]) if rows else set()
    if {"instruction", "output_1", "output_2"} <= fields:
        request = EvalRequest(data=data, protocol=load_protocol("alpaca_eval", "community"))
        _check_baseline(file, rows, request)
        return rescore_annotations(file, request, by_position=by_position, duplicates=rule)
    if {"question_id", "judgment"} <= fields:
        request = EvalRequest(data=data, protocol=load_protocol("mt_bench", "community"))
        return rescore_judgments(file, request, model=model, duplicates=rule)
    raise DataError(
        f"{file}: neither AlpacaEval annotations (instruction, output_1, output_2, preference) nor "
        "MT-Bench judgments (question_id, judge, judgment, turn)"
    )


def _check_baseline(
    file: Path, rows: Sequence[tuple[int, Mapping[str, Any]]], request: EvalRequest
) -> None:
    """Refuse annotations of answers against another baseline than the data's."""
    from harness.benchmarks.alpaca_eval.benchmark import prepare

    known = {i.instruction: i for i in prepare(request).instructions}
    for number, row in rows:
        instruction = known.get(str(row.get("instruction")))
        if instruction is not None and row.get("output_1") != instruction.baseline_output:
            raise DataError(
                f"{file}: entry {number} is against {row.get('generator_1', 'another model')}, not "
                f"against the data's baseline {instruction.baseline}"
            )
