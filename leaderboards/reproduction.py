"""A published table drawn from our own runs, each figure beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from leaderboards.build_table import build_table
from leaderboards.layouts import LAYOUTS, Layout, layout_named
from leaderboards.paper import paper_frame, table_names
from leaderboards.table import Cell, Group, Row, Table

if TYPE_CHECKING:
    import pandas as pd

Place = tuple[str, str, int, str]
"""(group, arm, iteration, column key) of a published figure."""
MOST_LISTED = 6


@dataclass(frozen=True)
class Part:
    """A run's figures and the group of the published table that they are drawn in."""

    group: str
    frame: pd.DataFrame
    arms: tuple[str, ...]
    base: bool = True


def layout_of(table: str) -> Layout:
    """The one layout that claims a published table (``v1:table1``)."""
    return next(layout for layout in LAYOUTS.values() if table in layout.paper)


def published_cells(table: str) -> dict[Place, float]:
    """Every figure of a published table by its place.

    Raises:
        UserError: no such table, or two figures in one place.
    """
    found: dict[Place, float] = {}
    for record in paper_frame(table).to_dict("records"):
        place = (record["group"], record["arm"], int(record["iteration"]), record["info"].column)
        if place in found and found[place] != record["value"]:
            raise UserError(f"{table}: two figures of {place}")
        found[place] = float(record["value"])
    return found


def claims(table: str, parts: Sequence[tuple[str, Sequence[str], bool]]) -> dict[Place, int]:
    """How many of the parts (group, arms, with base) would draw each published figure."""
    return {
        place: sum(
            group == place[0] and (base if place[1] == "base" else place[1] in arms)
            for group, arms, base in parts
        )
        for place in published_cells(table)
    }


def reproduction_table(table: str, layout: str, parts: Sequence[Part]) -> Table:
    """Our figures in the places of the published ones, with the published value and the difference.

    Only rows and columns that the published table has are drawn. Remarks count the figures that are
    not measured, and name some.

    Raises:
        UserError: none of the parts holds a figure of the table.
    """
    published = published_cells(table)
    frame = _together(parts, published)
    if frame is None:
        raise UserError(f"no finished figure of {table} yet")
    columns = tuple(dict.fromkeys(place[3] for place in published))
    named = layout_named(layout)
    order = [key for key in named.columns if key in columns]
    order += [key for key in columns if key not in order]
    shown = replace(
        named, columns=tuple(order), others=False, settings=tuple(frame["setting"].unique())
    )
    drawn = build_table(frame, shown)
    seen: set[Place] = set()
    groups = tuple(_beside(group, drawn, published, seen) for group in drawn.groups)
    groups = tuple(sorted(groups, key=lambda g: _place_of(g.title, published)))
    return replace(
        drawn,
        title=f"{table}: {drawn.title}",
        groups=groups,
        remarks=(*drawn.remarks, *_missing(published, seen), *_no_evidence(drawn, groups)),
    )


def _together(parts: Sequence[Part], published: Mapping[Place, float]) -> pd.DataFrame | None:
    import pandas as pd

    frames = []
    for part in parts:
        frame = part.frame.copy()
        frame["group"] = part.group
        wanted = set(part.arms) | ({"base"} if part.base else set())
        keys = [
            (part.group, arm, int(step), info.column)
            for arm, step, info in zip(frame["arm"], frame["iteration"], frame["info"], strict=True)
        ]
        keep = [
            key in published and arm in wanted for key, arm in zip(keys, frame["arm"], strict=True)
        ]
        frame = frame[keep]
        if len(frame):
            frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else None


def _beside(
    group: Group, table: Table, published: Mapping[Place, float], seen: set[Place]
) -> Group:
    def matched(row: Row) -> Row:
        if row.point is None:
            return row
        _, arm, iteration = row.point
        cells = []
        for cell, column in zip(row.cells, table.keys, strict=True):
            place = (group.title, arm, 0 if arm == "base" else iteration, column)
            reference = published.get(place)
            if cell.value is not None and reference is not None:
                seen.add(place)
            cells.append(_with(cell, reference))
        return replace(row, cells=tuple(cells))

    return replace(group, rows=tuple(map(matched, group.rows)))


def _with(cell: Cell, reference: float | None) -> Cell:
    if reference is None:
        return cell
    difference = None if cell.value is None else cell.value - reference
    return replace(cell, reference=reference, difference=difference)


def _place_of(title: str, published: Mapping[Place, float]) -> int:
    return list(dict.fromkeys(place[0] for place in published)).index(title)


def _missing(published: Mapping[Place, float], seen: set[Place]) -> tuple[str, ...]:
    left = [place for place in published if place not in seen]
    counted = f"{len(seen)} of {len(published)} published figures have one of ours beside them."
    if not left:
        return (counted,)
    names = [f"{group}, {arm} {step}, {column}" for group, arm, step, column in left]
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return (f"{counted} Not measured: {'; '.join(names[:MOST_LISTED])}{more}.",)


def _no_evidence(table: Table, groups: Sequence[Group]) -> tuple[str, ...]:
    cells: list[Any] = [c for group in groups for row in group.rows for c in row.cells]
    if table.shared_notes or any(table.column_notes) or any(cell.notes for cell in cells):
        return ("A difference to the paper under a note is no evidence either way.",)
    return ()


__all__ = [
    "Part",
    "claims",
    "layout_of",
    "published_cells",
    "reproduction_table",
    "table_names",
]
