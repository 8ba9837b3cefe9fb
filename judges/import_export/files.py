"""Reading and writing the exchanged files, plain or gzipped, with the place of each mistake."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judges.errors import JudgeError


@dataclass(frozen=True)
class Exchanged:
    """What an import or export did: rows written or kept, and rows left out with the reason."""

    rows: int
    left_out: dict[str, int]


def read_text(path: Path) -> str:
    """The text of a file, gunzipped where its name ends in ``.gz``.

    Raises:
        JudgeError: it can't be read.
    """
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise JudgeError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON list of objects.

    Raises:
        JudgeError: the file is no such list.
    """
    try:
        rows = json.loads(read_text(path))
    except ValueError as error:
        raise JudgeError(f"{path}: no JSON ({error})") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise JudgeError(f"{path}: not a list of objects")
    return rows


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of each line that is not empty.

    Raises:
        JudgeError: a line is no JSON object; names the line.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise JudgeError(f"{path}:{number}: no JSON ({error})") from None
        if not isinstance(row, dict):
            raise JudgeError(f"{path}:{number}: not an object")
        yield number, row


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line, through a temporary file; returns how many."""
    count = 0
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    os.replace(part, path)
    return count


def field(row: dict[str, Any], name: str, place: str, kind: type | tuple[type, ...]) -> Any:
    """A field of a row.

    Raises:
        JudgeError: it is missing or of another type; names the place.
    """
    if name not in row:
        raise JudgeError(f"{place}: no field {name!r}")
    if not isinstance(row[name], kind):
        raise JudgeError(f"{place}: field {name!r} is {type(row[name]).__name__}")
    return row[name]
