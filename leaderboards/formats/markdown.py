"""GitHub-flavoured Markdown: best bold, second underlined, foot-notes as a list."""

from __future__ import annotations

from leaderboards.formats.marking import footer, heads, note_keys, signs
from leaderboards.table import Cell, Table


def render(table: Table) -> str:
    """The table as Markdown; groups become a bold first line of their rows."""
    head = [*table.stub, *heads(table)]
    rule = ["---"] * len(table.stub) + ["---:"] * len(table.columns)
    lines = [f"**{escape(table.title)}**", "", _line([escape(text) for text in head]), _line(rule)]
    for group in table.groups:
        if group.title:
            lines.append(_line([f"**{escape(group.title)}**", *[""] * (len(head) - 1)]))
        for row in group.rows:
            lines.append(_line([*map(escape, row.labels), *map(_text, row.cells)]))
    lines.append("")
    lines += [f"- {escape(line)}" for line in footer(table)]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that can't break out of a table cell or start markup or HTML."""
    for character in "\\|*_`[]":
        text = text.replace(character, "\\" + character)
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


def _line(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _text(cell: Cell) -> str:
    value = {1: f"**{cell.text}**", 2: f"<u>{cell.text}</u>"}.get(cell.rank, cell.text)
    text = value + (f" ±{cell.error_text}" if cell.error_text else "") + signs(cell)
    if cell.notes:
        text += f" <sup>{note_keys(cell)}</sup>"
    return text + (f"<br>{cell.reference_text}" if cell.reference_text else "")
