"""Why a figure can't be compared: reason codes in words, and where the notes of a table stand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase

from leaderboards.table import Cell, Group, Row

REASONS: dict[str, str] = {
    "sample-data": "items written for this project, not the published benchmark",
    "item-limit": "a sample of the items, not the whole benchmark",
    "local-judge": "judged by the starting policy itself, not by the published judge",
    "reduced-protocol": "shorter answers or fewer shots than the published protocol",
    "other-judge": "another judge than the published one",
    "reconstruction": "a reconstruction of the published protocol",
}


def reason(code: str) -> str:
    """A reason code in words; an unknown code is shown as it is."""
    return REASONS.get(code, code)


@dataclass(frozen=True)
class Placed:
    """Rows whose notes are keys, and the texts of the keys.

    ``shared`` are the notes of every figure of the table, ``columns`` the keys of the notes that all
    figures of a column carry, ``notes`` the (key, text) of all others.
    """

    groups: tuple[Group, ...]
    columns: tuple[tuple[str, ...], ...]
    notes: tuple[tuple[str, str], ...]
    shared: tuple[str, ...]


def hoist_column_notes(
    groups: Sequence[Group], width: int, without: Collection[int] = ()
) -> Placed:
    """Move notes to where they are stated once: those of a whole table under it, those of a whole
    column into its head. The cells' ``notes`` come as texts and leave as keys a, b, c, ... aa, ab.
    ``without`` are positions of columns that carry no such notes."""
    columns = [
        _common([row.cells[i] for group in groups for row in group.rows]) for i in range(width)
    ]
    filled = [f for i, f in enumerate(columns) if f is not None and i not in without]
    several = len(filled) > 1
    shared = [n for n in filled[0] if all(n in c for c in filled)] if several else []
    heads = [[note for note in found or () if note not in shared] for found in columns]
    keys: dict[str, str] = {}

    def key(text: str) -> str:
        return keys.setdefault(text, _letters(len(keys)))

    lettered = tuple(tuple(map(key, head)) for head in heads)

    def kept(row: Row) -> Row:
        cells = []
        for cell, found in zip(row.cells, columns, strict=True):
            own = (note for note in cell.notes if note not in (found or ()))
            cells.append(replace(cell, notes=tuple(map(key, own))))
        return replace(row, cells=tuple(cells))

    placed = tuple(replace(group, rows=tuple(map(kept, group.rows))) for group in groups)
    return Placed(placed, lettered, tuple((k, text) for text, k in keys.items()), tuple(shared))


def _common(cells: Sequence[Cell]) -> tuple[str, ...] | None:
    """The notes of all cells of a column that hold a figure; None without any figure."""
    filled = [cell.notes for cell in cells if cell.value is not None]
    if not filled:
        return None
    return tuple(note for note in filled[0] if all(note in notes for notes in filled))


def _letters(number: int) -> str:
    high, low = divmod(number, 26)
    return (ascii_lowercase[high - 1] if high else "") + ascii_lowercase[low]
