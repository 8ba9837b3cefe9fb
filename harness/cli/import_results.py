"""``sso-bench import``: results of other tools as run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_(
    tool: Annotated[str, typer.Argument(help="lm-eval, alpaca-eval, fastchat or inspect.")],
    paths: Annotated[list[Path], typer.Argument(help="Files or folders of that tool.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New run folder [runs/imported-NAME].")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Only this model, where several are in.")
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            "--data", help="AlpacaEval's baseline, MT-Bench's questions: hub or a folder."
        ),
    ] = "hub",
) -> None:
    """Make run folders of another tool's results, for tables, reports and gates beside ours."""
    from harness.data import open_source
    from harness.data.sources import DataSource
    from harness.imports import import_results
    from leaderboards import render_table

    name = paths[0].name.removesuffix(".json") or tool
    judged = tool in ("alpaca-eval", "fastchat")
    source = open_source(data) if judged else DataSource("dir", Path())
    folders = import_results(tool, paths, out or Path("runs") / f"imported-{name}", source, model)
    print(render_table(folders, format="terminal"))
    for folder in folders:
        print(f"Run folder: {folder}")
