"""Plain text for a terminal, aligned; bold and underline only when colours are asked for."""

from __future__ import annotations

from leaderboards.formats.marking import footer, heads, note_keys, signs
from leaderboards.table import Cell, Row, Table

_STYLES = {1: "\x1b[1m", 2: "\x1b[4m"}


def render(table: Table, color: bool = False) -> str:
    """The table as lines of at most its natural width; ``color`` adds ANSI bold and underline."""
    head = [*table.stub, *heads(table)]
    body = [_texts(row) for group in table.groups for row in group.rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [table.title, rule, _line(head, widths, len(table.stub)), rule]
    for group in table.groups:
        if group.title:
            lines.append(group.title)
        lines += [_row(row, widths, len(table.stub), color) for row in group.rows]
        lines.append(rule)
    return "\n".join([*lines, *footer(table)]) + "\n"


def _texts(row: Row) -> list[str]:
    return [*row.labels, *(_text(cell) for cell in row.cells)]


def _text(cell: Cell) -> str:
    text = cell.text + (f" ±{cell.error_text}" if cell.error_text else "") + signs(cell)
    if cell.notes:
        text += f" [{note_keys(cell)}]"
    return text + (f" | {cell.reference_text}" if cell.reference_text else "")


def _line(texts: list[str], widths: list[int], stub: int) -> str:
    cells = [
        text.ljust(width) if i < stub else text.rjust(width)
        for i, (text, width) in enumerate(zip(texts, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _row(row: Row, widths: list[int], stub: int, color: bool) -> str:
    texts = [t.ljust(w) if i < stub else t.rjust(w) for i, (t, w) in enumerate(zip(_texts(row), widths, strict=True))]  # fmt: skip
    if color:
        for i, cell in enumerate(row.cells, stub):
            if cell.rank in _STYLES:
                marked = f"{_STYLES[cell.rank]}{cell.text}\x1b[0m"
                texts[i] = texts[i].replace(cell.text, marked, 1)
    return "  ".join(texts).rstrip()
