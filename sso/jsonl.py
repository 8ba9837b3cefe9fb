"""Records on disk: one line of JSON each, written whole or not at all, read with file and line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sso.errors import SsoError

Model = TypeVar("Model", bound=BaseModel)


def write_records(path: Path, records: Iterable[BaseModel]) -> None:
    """Write one record a line; a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(record.model_dump_json() + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_records(path: Path, kind: type[Model]) -> list[Model]:
    """The records of a file written by ``write_records``.

    Raises:
        SsoError: no such file, or a line that is no record of this kind (file and line named).
    """
    found = []
    for number, line in _lines(path):
        try:
            found.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise SsoError(f"{path}:{number}: {describe(error)}") from None
    return found


def read_rows(path: Path) -> list[tuple[int, dict[str, object]]]:
    """Line numbers (from 1) and JSON objects of a JSONL file that people may have written.

    Raises:
        SsoError: no such file, or a line that is no JSON object (file and line named).
    """
    found = []
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise SsoError(f"{path}:{number}: not JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise SsoError(f"{path}:{number}: a JSON object was expected, not {type(row).__name__}")
        found.append((number, row))
    return found


def describe(error: ValidationError) -> str:
    """A validation error in one line: the first problem with its place, and how many more."""
    first = error.errors()[0]
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"]).lstrip(".")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}{more}" if place else f"{message}{more}"


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SsoError(f"no such file: {path}") from None
    except UnicodeDecodeError as error:
        raise SsoError(f"{path}: not UTF-8 text ({error.reason})") from None
    # Only "\n" ends a line: JSON strings may hold U+2028 and its like, which splitlines would cut.
    return [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
