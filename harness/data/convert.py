"""Conversion of downloaded files into the rows of the data folder's layout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundwork.conversations import read_preference
from groundwork.errors import UserError
from groundwork.files import write_lines
from harness.data.manifest import DataFile
from harness.data.parquet import parquet_rows
from harness.errors import DataError


class ConversionError(DataError):
    """Downloaded files that are not what the manifest says."""


def convert(file: DataFile, parts: Sequence[Path], target: Path) -> None:
    """Write the rows of the downloaded parquet files as JSON lines, atomically.

    Raises:
        ConversionError: a file is no parquet, or stands for too much, a row lacks a field, or the number of rows is wrong.
    """
    rows = _checked(file, list(_rows(file, parts)))
    write_lines(target, (json.dumps(row, ensure_ascii=False) for row in rows))


def _rows(file: DataFile, parts: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for source, part in zip(file.sources, parts, strict=True):
        for number, row in enumerate(_parquet(source.path, part)):
            if file.convert == "math":
                yield math_row(row, source.path.split("/")[0], number)
            elif file.convert == "preferences":
                yield preference_row(row, f"{source.path}: row {number}")
            else:
                yield row


def _parquet(name: str, path: Path) -> list[dict[str, Any]]:
    try:
        return parquet_rows(path, name)
    except DataError as error:
        raise ConversionError(str(error)) from None


def _checked(file: DataFile, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if file.rows is not None and len(rows) != file.rows:
        raise ConversionError(
            f"{file.repo} gives {len(rows)} rows for {file.path}, not {file.rows}"
        )
    for number, row in enumerate(rows, 1):
        for name in file.fields:
            if row.get(name) is None:
                raise ConversionError(
                    f"{file.repo}: row {number} for {file.path} has no field {name!r}"
                )
    return rows


def math_row(row: Mapping[str, Any], subject: str, number: int) -> dict[str, Any]:
    """A Hendrycks MATH row with its boxed answer. The hub's copy has lost the original file numbers,
    so ids count its rows: ``test/algebra/row-0``."""
    from harness.data.boxed import last_boxed

    return {
        **row,
        "answer": last_boxed(str(row.get("solution", ""))),
        "unique_id": f"test/{subject}/row-{number}",
    }


def preference_row(row: Mapping[str, Any], where: str = "row") -> dict[str, Any]:
    """A row of UltraFeedback (binarized): the conversation before the answers, and both answers.

    A user's single message is kept as a text, a longer conversation as its messages.

    Raises:
        ConversionError: a field is missing, or the two conversations are different ones.
    """
    try:
        pair = read_preference(row, where)
    except UserError as error:
        raise ConversionError(str(error)) from None
    single = len(pair.prompt) == 1
    kept = {
        "prompt": pair.prompt[0]["content"] if single else list(pair.prompt),
        "chosen": pair.chosen,
        "rejected": pair.rejected,
    }
    scores = {k: row[k] for k in ("prompt_id", "score_chosen", "score_rejected") if k in row}
    return {**kept, **scores}
