"""``sso-bench table``: the tables of any set of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def table(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, or one published table: v1:table1.")
    ],
    layout: Annotated[
        str, typer.Option("--layout", help="iterations, summary, ...")
    ] = "iterations",
    form: Annotated[
        str | None,
        typer.Option(
            "--format", "-f", help="terminal, md, latex, html or csv (default: by --out's ending)."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="paper (or paper:v1, paper:v2): its figures in each cell; alpaca: neighbours.",
        ),
    ] = None,
    paper_model: Annotated[
        str | None, typer.Option("--paper-model", help="The paper's model to compare with.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write: .md, .tex, .html, .csv, .txt."),
    ] = None,
) -> None:
    """Print or write a paper-style table of one or more runs."""
    from harness.progress import print_table
    from leaderboards.render import format_of, render_table

    chosen = form or (format_of(out) if out else "terminal")
    color = False if out else None
    text = render_table(runs, layout, chosen, against, paper_model, color)
    if out is None:
        print_table(text)
    else:
        from groundwork.files import write_atomic

        write_atomic(out, text + ("" if text.endswith("\n") else "\n"))
        print(f"written: {out}")
