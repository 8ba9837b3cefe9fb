"""``sso-bench history``: scores of every run, over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import split_names

history = typer.Typer(
    help="Scores of every run over time, in SQLite or PostgreSQL.", no_args_is_help=True
)

Url = Annotated[
    str | None, typer.Option("--db", help="SQLite file or database URL (default runs/history...).")
]
Only = Annotated[str | None, typer.Option("--benchmarks", "-b", help="Only these.")]
Model = Annotated[str | None, typer.Option("--model", help="Only runs of this model.")]
Branch = Annotated[str | None, typer.Option("--branch", help="Git branch.")]


def _url(given: str | None) -> str:
    from leaderboards.history import DEFAULT_URL

    return given or str(DEFAULT_URL)


@history.command()
def add(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    db: Url = None,
    branch: Branch = None,
) -> None:
    """Add runs; without the database they are kept locally, which is reported."""
    from leaderboards.history import add as add_runs

    print(add_runs(runs, _url(db), branch).message)


@history.command()
def show(
    db: Url = None,
    benchmarks: Only = None,
    model: Model = None,
    branch: Branch = None,
    last: Annotated[int, typer.Option("--last", help="Points of each series.")] = 10,
) -> None:
    """Print the last figures of each series, with level shifts marked."""
    from leaderboards.history_series import show as show_series

    names = split_names(benchmarks or "")
    print(show_series(_url(db), benchmarks=names, model=model, branch=branch, last=last))


@history.command()
def plot(
    out: Annotated[Path, typer.Option("--out", "-o", help="PDF, SVG or PNG.")] = Path(
        "history.pdf"
    ),
    db: Url = None,
    benchmarks: Only = None,
    model: Model = None,
    branch: Branch = None,
) -> None:
    """Plot each series with its interval and its level shifts."""
    from leaderboards.history_series import series
    from leaderboards.plots import history_figure, save

    names = split_names(benchmarks or "")
    shown = series(_url(db), benchmarks=names, model=model, branch=branch)
    print(f"written: {save(history_figure(shown), out)}")
