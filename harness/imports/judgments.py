"""Results that judges gave for alpaca_eval and FastChat: annotations, judgments, a leaderboard.

Figures are computed again from the saved judgments (``harness.benchmarks.saved_judgments``), so they
have intervals and items; a leaderboard's rows are taken as they stand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from groundwork.files import numbered_rows
from harness.benchmarks import get_benchmark
from harness.benchmarks.saved_judgments import score_judgments
from harness.data.sources import DataSource, read_rows
from harness.imports.result import ImportedResult, imported_mark
from leaderboards.records import Score

LEADERBOARD = {
    "lc_win_rate": ("length_controlled_winrate", "lc_standard_error"),
    "win_rate": ("win_rate", "standard_error"),
    "length": ("avg_length", ""),
}
"""Our metrics to the columns of alpaca_eval's leaderboard: figure and standard error."""


def read_alpaca_eval(path: Path, data: DataSource) -> list[ImportedResult]:
    """Annotations (a file, or ``annotations.json`` below a folder) or a leaderboard (CSV; a name that
    comes again gets a number).

    Raises:
        UserError: neither, or annotations that do not fit the data's baseline.
    """
    if path.is_file() and path.suffix == ".csv":
        return _leaderboard(path)
    files = [path] if path.is_file() else sorted(path.rglob("annotations.json*"))
    if not files:
        raise UserError(f"{path} holds no annotations.json of alpaca_eval")
    found = []
    for file in files:
        rows = numbered_rows(file)
        model = str(rows[0][1].get("generator_2") or file.parent.name) if rows else ""
        found.append(_scored(file, data, model, "alpaca_eval"))
    return found


def read_fastchat(path: Path, data: DataSource) -> list[ImportedResult]:
    """Single-answer judgments: a file, or the ``*_single.jsonl`` below a folder, every model in them.

    Raises:
        UserError: no such file, or judgments of unknown questions.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*_single*.jsonl"))
    if not files:
        raise UserError(f"{path} holds no judgments of FastChat (*_single.jsonl)")
    found = []
    for file in files:
        models = sorted({str(row.get("model")) for _, row in numbered_rows(file)})
        found += [_scored(file, data, model, "mt_bench") for model in models]
    return found


def _scored(file: Path, data: DataSource, model: str, benchmark: str) -> ImportedResult:
    named = model if benchmark == "mt_bench" else None
    outcome = score_judgments(file, data, named)
    wrong = outcome.scores[0].benchmark
    if wrong != benchmark:
        raise UserError(f"{file} holds results of {wrong}, not of {benchmark}")
    info = get_benchmark(benchmark).info
    mark = imported_mark("alpaca_eval" if benchmark == "alpaca_eval" else "FastChat")
    scores = [
        score.model_copy(
            update={
                "marks": (mark, *score.marks),
                "info": info.of_score(score.metric, score.headline),
            }
        )
        for score in outcome.scores
    ]
    return ImportedResult(model, benchmark, tuple(scores), tuple(outcome.items), file)


def _leaderboard(path: Path) -> list[ImportedResult]:
    rows = read_rows(path)
    if not rows or "win_rate" not in rows[0]:
        raise UserError(f"{path} is not a leaderboard of alpaca_eval: no column 'win_rate'")
    found: dict[str, ImportedResult] = {}
    for number, row in enumerate(rows, 2):
        name = str(row.get("") or row.get("name") or "")
        if not name:
            raise UserError(f"{path}:{number}: the row names no model")
        model, times = name, 1
        while model in found:
            times += 1
            model = f"{name} ({times})"
        scores = _row_scores(path, number, row)
        found[model] = ImportedResult(model, "alpaca_eval", scores, (), path)
    return list(found.values())


def _row_scores(path: Path, number: int, row: Mapping[str, Any]) -> tuple[Score, ...]:
    info = get_benchmark("alpaca_eval").info
    scores = []
    for metric, (column, error) in LEADERBOARD.items():
        value = _number(path, number, row, column)
        if value is None:
            continue
        n = int(_number(path, number, row, "n_total") or 0)
        score = Score(
            benchmark="alpaca_eval",
            metric=metric,
            value=value,
            stderr=_number(path, number, row, error) if error else None,
            unit="characters" if metric == "length" else "percent",
            n=n,
            n_expected=n,
            protocol=f"alpaca_eval:{path.stem}",
            data="alpaca_eval",
            marks=(imported_mark("alpaca_eval"),),
            headline=metric == "lc_win_rate",
        )
        scores.append(score.model_copy(update={"info": info.of_score(metric, score.headline)}))
    return tuple(scores)


def _number(path: Path, number: int, row: Mapping[str, Any], column: str) -> float | None:
    text = str(row.get(column) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}:{number}: {column} is no number: {text!r}")
    return value
