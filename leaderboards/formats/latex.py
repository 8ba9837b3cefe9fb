"""LaTeX with booktabs: compiles inside any article that loads the three packages it names."""

from __future__ import annotations

from leaderboards.formats.marking import footer
from leaderboards.table import Cell, Table

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "±": r"$\pm$", "·": r"$\cdot$", "▲": r"$\blacktriangle$", "▼": r"$\blacktriangledown$",
    "△": r"$\vartriangle$", "▽": r"$\triangledown$", "–": "--", "—": "---", "’": "'",
}  # fmt: skip
_BASE = {1: r"\blacktriangle", -1: r"\blacktriangledown", 0: ""}
_PREVIOUS = {1: r"\vartriangle", -1: r"\triangledown", 0: ""}


def render(table: Table) -> str:
    """A ``table`` environment; needs ``booktabs``, ``amssymb`` and, for wide tables, ``graphicx``."""
    width = len(table.stub) + len(table.columns)
    head = [*map(escape, table.stub)]
    for position, label in enumerate(table.columns):
        head.append(escape(label) + _superscript("", table.notes_of_column(position)))
    lines = [
        "% needs \\usepackage{booktabs,amssymb,graphicx}",
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escape(table.title)}.}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{'l' * len(table.stub)}{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
    ]
    for group in table.groups:
        lines.append(r"\midrule")
        if group.title:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escape(group.title)}}}}} \\")
        for row in group.rows:
            cells = [*map(escape, row.labels), *map(_text, row.cells)]
            lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}}"]
    if notes := footer(table):
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize\raggedright"]
        lines += [escape(line) + r"\par" for line in notes]
        lines.append(r"\end{minipage}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escape(text: str) -> str:
    """Text with LaTeX's special characters made literal; other non-ASCII letters are left out as ?."""
    return "".join(
        _SPECIAL.get(character, character if character.isascii() else "?")
        for character in text.replace("\n", " ")
    )


def _superscript(signs: str, notes: tuple[str, ...]) -> str:
    inside = signs + (rf"\mathrm{{{','.join(notes)}}}" if notes else "")
    return f"$^{{{inside}}}$" if inside else ""


def _text(cell: Cell) -> str:
    value = {1: rf"\textbf{{{cell.text}}}", 2: rf"\underline{{{cell.text}}}"}.get(
        cell.rank, cell.text
    )
    text = value + (rf" {{\scriptsize$\pm${cell.error_text}}}" if cell.error_text else "")
    text += _superscript(_BASE[cell.versus_base] + _PREVIOUS[cell.versus_previous], cell.notes)
    if cell.reference_text:
        text += rf" {{\scriptsize[{escape(cell.reference_text)}]}}"
    return text
