"""Items of a finished evaluation that ended in an error and may end otherwise when asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from groundwork.files import read_json_lines
from harness.benchmarks.answers_file import OUTPUTS
from harness.stages.results import ITEMS, VERDICTS

SETTLED = ("judge: refused", "judge: filtered", "judge: truncated")
"""Replies that are in the verdict store: the judge said no, or not enough."""


def failed_items(folder: Path) -> int:
    """How many items of a finished stage failed in scoring: the judge's server failed or sent what can't
    be read, or a grader ran out of its time. An item that could not be answered at all (its prompt is
    longer than the model's context) would end in the same error and doesn't count."""
    errors = [str(row.get("error") or "") for row in _rows(folder / ITEMS)]
    failed = [error for error in errors if error and error not in SETTLED]
    if failed:
        unanswered = {row.get("error") for row in _rows(folder / OUTPUTS)}
        failed = [error for error in failed if error not in unanswered]
    pairs = [
        row
        for row in _rows(folder / VERDICTS)
        if any(verdict["state"] == "error" for verdict in row["verdicts"])
    ]
    return len(failed) + len(pairs)


def _rows(file: Path) -> list[dict[str, Any]]:
    return read_json_lines(file) if file.is_file() else []
