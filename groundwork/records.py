"""Bases of the records and settings, and records on disk: one line of JSON each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from groundwork.errors import UserError
from groundwork.files import text_lines, write_lines

Model = TypeVar("Model", bound=BaseModel)


class Record(BaseModel):
    """One line of JSON: frozen, no unknown fields, ``v`` its version."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    v: Literal[1] = 1


class Section(BaseModel):
    """A section of the configuration: frozen, unknown keys are errors, defaults are checked too, and
    numbers are finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


def write_records(path: Path, records: Iterable[BaseModel]) -> None:
    """Write one record per line, atomically."""
    write_lines(path, (record.model_dump_json() for record in records))


def read_records(path: Path, kind: type[Model]) -> list[Model]:
    """The records of a file that ``write_records`` wrote.

    Raises:
        UserError: no such file, or a line that is no record of this kind (names file and line).
    """
    found = []
    for number, line in enumerate(text_lines(path), 1):
        if line.strip():
            try:
                found.append(kind.model_validate_json(line))
            except ValidationError as error:
                raise UserError(f"{path}:{number}: {first_problem(error)}") from None
    return found


def first_problem(error: ValidationError) -> str:
    """A validation error in one line: the first problem with its place, and how many more."""
    first = error.errors()[0]
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"]).lstrip(".")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}{more}" if place else f"{message}{more}"
