"""Result of an exchange, and the fields of its rows with the place of each mistake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from judges.errors import JudgeError


@dataclass(frozen=True)
class Exchanged:
    """Result of an import or export: rows written or kept, and rows left out with the reason."""

    rows: int
    left_out: dict[str, int]


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
