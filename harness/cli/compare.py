"""``sso-bench compare``: models against each other, with paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(
            help="Runs, evaluations, or folders that rescore --out wrote; the first is "
            "the reference."
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format", "-f", help="terminal, md, latex, html or csv (default: by --out's ending)."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write: .md, .tex, .html, .csv, .txt."),
    ] = None,
) -> None:
    """Compare models: one table, paired tests against the first, flipped items."""
    from groundwork.files import write_atomic
    from leaderboards.formats import format_named
    from leaderboards.model_comparison import compare_models
    from leaderboards.render import format_of

    draw = format_named(form or (format_of(out) if out else "terminal"))
    found = compare_models(models)
    text = "\n".join([draw(found.models), draw(found.changes)])
    if out is None:
        print(text)
        print("\n".join(found.verdicts))
    else:
        write_atomic(out, text)
        print("\n".join([*found.verdicts, f"written: {out}"]))
