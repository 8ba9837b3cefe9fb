"""Judges that have been, or will be, shut down, and what can stand in for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "data" / "retired.yaml"


@cache
def _table() -> dict[str, Any]:
    import yaml

    table: dict[str, Any] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return table


def retirement(model: str) -> str:
    """One clause about a retired judge with its stand-ins; empty for others."""
    known = _table()["models"].get(model)
    if known is None:
        return ""
    return f"{model} ({known}) is reported shut down; stand-ins: {_table()['stand_ins']}"


def shutdown_notice(model: str, listed: Mapping[str, Any], today: date | None = None) -> str:
    """A warning where the server's own entry for the model carries a ``shutdown_date``.

    The date may be an ISO date, a date and time, or seconds since 1970; anything else is ignored.
    """
    day = _day(listed.get("shutdown_date"))
    if day is None:
        return ""
    stand_ins = f"stand-ins: {_table()['stand_ins']}"
    if day <= (today or datetime.now(UTC).date()):
        return f"{model} was shut down on {day}, says its server; {stand_ins}"
    return f"{model} will be shut down on {day}, says its server; {stand_ins}"


def _day(value: Any) -> date | None:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date()
        return datetime.fromisoformat(value).date() if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
