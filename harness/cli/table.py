"""``sso-bench table``: the tables of any set of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def table(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    layout: Annotated[
        str, typer.Option("--layout", help="iterations, summary, ...")
    ] = "iterations",
    form: Annotated[
        str, typer.Option("--format", "-f", help="terminal, md, latex, html or csv.")
    ] = "terminal",
    against: Annotated[
        str | None,
        typer.Option("--against", help="paper: its figures beside ours; alpaca: neighbours."),
    ] = None,
    paper_model: Annotated[
        str | None, typer.Option("--paper-model", help="The paper's model to stand beside.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write.")] = None,
) -> None:
    """Print or write a paper-style table of one or more runs."""
    from leaderboards import render_table

    text = render_table(runs, layout=layout, format=form, against=against, paper_model=paper_model)
    if out is None:
        print(text)
    else:
        from groundwork.files import write_atomic

        write_atomic(out, text + ("" if text.endswith("\n") else "\n"))
        print(f"written: {out}")
