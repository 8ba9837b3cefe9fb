"""Plain text for a terminal, aligned; bold and underline only on request."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from leaderboards.formats.marking import footer, heads, note_keys, signs
from leaderboards.table import Cell, Row, Table

_STYLES = {1: "\x1b[1m", 2: "\x1b[4m"}
GAP = "  "


def render(table: Table, color: bool = False, width: int | None = None) -> str:
    """The table as lines; ``color`` adds ANSI bold and underline.

    A table wider than ``width`` is broken into blocks of columns, each with the labels of its rows,
    and the lines below it are wrapped.
    """
    head = [*table.stub, *heads(table)]
    body = [_texts(row) for group in table.groups for row in group.rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = [table.title]
    for block in _blocks(widths, len(table.stub), width):
        lines += _block(table, head, widths, block, color)
    notes = footer(table)
    if width is not None:
        notes = [part for note in notes for part in textwrap.wrap(note, max(width, 20)) or [""]]
    return "\n".join([*lines, *notes]) + "\n"


def _blocks(widths: Sequence[int], stub: int, width: int | None) -> list[list[int]]:
    """Positions of the columns of each block: those of the labels, and as many others as fit."""
    labels, blocks = list(range(stub)), [[*range(stub)]]
    for position in range(stub, len(widths)):
        block = [*blocks[-1], position]
        total = sum(widths[i] for i in block) + len(GAP) * (len(block) - 1)
        if width is not None and total > width and len(blocks[-1]) > stub:
            blocks.append([*labels, position])
        else:
            blocks[-1] = block
    return blocks


def _block(
    table: Table, head: Sequence[str], widths: Sequence[int], block: Sequence[int], color: bool
) -> list[str]:
    stub = len(table.stub)
    rule = "─" * (sum(widths[i] for i in block) + len(GAP) * (len(block) - 1))
    lines = [rule, _line([_padded(head[i], widths[i], i < stub) for i in block]), rule]
    for group in table.groups:
        if group.title:
            lines.append(group.title)
        for row in group.rows:
            texts = _texts(row)
            padded = [_padded(texts[i], widths[i], i < stub) for i in block]
            lines.append(_line(_styled(padded, row, block, stub) if color else padded))
        lines.append(rule)
    return lines


def _styled(texts: list[str], row: Row, block: Sequence[int], stub: int) -> list[str]:
    found = list(texts)
    for place, position in enumerate(block):
        cell = row.cells[position - stub] if position >= stub else None
        if cell is not None and cell.rank in _STYLES:
            marked = f"{_STYLES[cell.rank]}{cell.text}\x1b[0m"
            found[place] = found[place].replace(cell.text, marked, 1)
    return found


def _texts(row: Row) -> list[str]:
    return [*row.labels, *(_text(cell) for cell in row.cells)]


def _text(cell: Cell) -> str:
    text = cell.text + (f" ±{cell.error_text}" if cell.error_text else "") + signs(cell)
    if cell.notes:
        text += f" [{note_keys(cell)}]"
    return text + (f" | {cell.reference_text}" if cell.reference_text else "")


def _padded(text: str, width: int, is_label: bool) -> str:
    return text.ljust(width) if is_label else text.rjust(width)


def _line(texts: Sequence[str]) -> str:
    return GAP.join(texts).rstrip()
