"""The table as one HTML fragment: no style of its own, every text escaped, values sortable."""

from __future__ import annotations

from html import escape

from leaderboards.formats.marking import footer, note_keys, signs
from leaderboards.table import Cell, Row, Table


def render(table: Table) -> str:
    """A ``figure`` with the table and its notes; numeric cells carry ``data-value`` to sort by."""
    heads = [f'<th scope="col">{escape(label)}</th>' for label in table.stub]
    for position, label in enumerate(table.columns):
        keys = ",".join(table.notes_of_column(position))
        mark = f" <sup>{escape(keys)}</sup>" if keys else ""
        heads.append(f'<th scope="col" class="number">{escape(label)}{mark}</th>')
    bodies = [
        _body(group.title, group.rows, len(table.stub) + len(table.columns))
        for group in table.groups
    ]
    notes = "".join(f"<li>{escape(line)}</li>" for line in footer(table))
    return (
        f'<figure class="table"><figcaption>{escape(table.title)}</figcaption>\n'
        f'<div class="scroll"><table class="sortable"><thead><tr>{"".join(heads)}</tr></thead>\n'
        + "\n".join(bodies)
        + f'</table></div>\n<ul class="notes">{notes}</ul></figure>\n'
    )


def _body(title: str, rows: tuple[Row, ...], width: int) -> str:
    lines = ["<tbody>"]
    if title:
        lines.append(
            f'<tr class="group"><th colspan="{width}" scope="rowgroup">{escape(title)}</th></tr>'
        )
    for row in rows:
        labels = "".join(f'<th scope="row">{escape(label)}</th>' for label in row.labels)
        lines.append(
            f'<tr class="{escape(row.kind)}">{labels}{"".join(map(_cell, row.cells))}</tr>'
        )
    return "\n".join([*lines, "</tbody>"])


def _cell(cell: Cell) -> str:
    value = escape(cell.text)
    value = {1: f"<strong>{value}</strong>", 2: f"<u>{value}</u>"}.get(cell.rank, value)
    error = f" <small>±{escape(cell.error_text)}</small>" if cell.error_text else ""
    mark = f'<span class="sign">{signs(cell)}</span>' if signs(cell) else ""
    notes = f" <sup>{escape(note_keys(cell))}</sup>" if cell.notes else ""
    other = (
        f'<br><small class="reference">{escape(cell.reference_text)}</small>'
        if cell.reference_text
        else ""
    )
    key = "" if cell.value is None else f' data-value="{cell.value!r}"'
    return f'<td class="number"{key}>{value}{error}{mark}{notes}{other}</td>'
