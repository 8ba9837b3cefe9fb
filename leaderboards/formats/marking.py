"""What the text formats share: the signs of a cell and the lines under a table."""

from __future__ import annotations

from leaderboards.table import Cell, Table

BASE_SIGNS = {1: "▲", -1: "▼", 0: ""}
PREVIOUS_SIGNS = {1: "△", -1: "▽", 0: ""}


def signs(cell: Cell) -> str:
    """Significance signs: filled triangles against the base, open ones against the last iteration."""
    return BASE_SIGNS[cell.versus_base] + PREVIOUS_SIGNS[cell.versus_previous]


def note_keys(cell: Cell) -> str:
    """The foot-note keys of a cell, comma-separated."""
    return ",".join(cell.notes)


def heads(table: Table) -> list[str]:
    """Column heads with the keys of the notes that mark a whole column: ``AE2 [a,b]``."""
    keys = [",".join(table.notes_of_column(position)) for position in range(len(table.columns))]
    return [
        f"{label} [{key}]" if key else label for label, key in zip(table.columns, keys, strict=True)
    ]


def footer(table: Table) -> list[str]:
    """Lines under a table: detectable differences, the legend that is needed, notes, remarks."""
    lines = []
    if any(table.detectable):
        pairs = zip(table.columns, table.detectable, strict=True)
        shown = ", ".join(f"{label} {text}" for label, text in pairs if text)
        how = "80 % power, two-sided 5 %, paired by item" + ("; * unpaired" if "*" in shown else "")
        lines.append(f"Smallest detectable difference ({how}): {shown}.")
    cells = [cell for group in table.groups for row in group.rows for cell in row.cells]
    if any(cell.stderr is not None for cell in cells):
        lines.append("± is one standard error (shares of few right or wrong: Agresti and Coull's).")
    if any(cell.rank == 1 and cell.stderr is not None for cell in cells):
        lines.append(
            "Bold: the best, and what can't be told from it on the same items, where anything is worse."
        )
    if any(cell.versus_base for cell in cells):
        lines.append(
            f"▲▼ significantly better or worse than {table.reference} (corrected over the table, 5 %)."
        )
    if any(cell.versus_previous for cell in cells):
        lines.append("△▽ significantly better or worse than the previous iteration.")
    if "gap" in table.keys:
        lines.append(
            "P: average probability of a token of y+ and y- under the policy (percent); Gap: average "
            "log-probability of y+ minus that of the plain answer; KL: to the reference; both in nats."
        )
    if "p_avg" in table.keys:
        lines.append(
            "Avg. prob.: the paper's, exp(average log-probability of a token) of each answer, averaged over both "
            "sides (percent)."
        )
    if table.shared_notes:
        lines.append(f"All figures: {'; '.join(table.shared_notes)}.")
    lines += [f"[{key}] {text}" for key, text in table.notes]
    return lines + list(table.remarks)
