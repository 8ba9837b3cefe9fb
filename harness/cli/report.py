"""``sso-bench report``: one self-contained HTML page of any set of runs; ``plot``: its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("pdf", "svg", "png")


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="HTML file (default RUN/report.html).")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Heading of the page.")] = None,
) -> None:
    """Write tables, plots, items, settings and costs of runs as one HTML file."""
    from leaderboards.report import write_report

    print(f"written: {write_report(runs, out or runs[0] / 'report.html', title)}")


def plot(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder (default RUN/plots).")
    ] = None,
    form: Annotated[str, typer.Option("--format", "-f", help="pdf, svg or png.")] = "pdf",
) -> None:
    """Write the figures of runs: scores, categories, lengths, on-policyness, training, cost."""
    from groundwork.errors import UserError, did_you_mean
    from leaderboards import load_runs, plots
    from leaderboards.identity import arms_of_runs
    from leaderboards.runs import read_runs

    if form not in FORMATS:
        raise UserError(f"no plot format {form!r} ({did_you_mean(form, FORMATS)})")
    folder = out or runs[0] / "plots"
    read, frame = read_runs(runs), load_runs(runs)
    arms = arms_of_runs(read)
    for name, draw in {
        "scores": lambda: plots.iterations_figure(frame),
        "length": lambda: plots.length_figure(frame),
        "categories": lambda: plots.radar_figure(frame),
        "subjects": lambda: plots.subjects_figure(frame),
        "on-policyness": lambda: plots.policyness_figure(frame, read),
        "probability": lambda: plots.probability_figure(frame, read),
        "accuracy-probability": lambda: plots.pair_quality_figure(frame, arms),
        "accuracy-probability-by-iteration": lambda: plots.pair_quality_figure(
            frame, arms, "iteration"
        ),
        "pair-lengths": lambda: plots.lengths_figure(read),
        "training": lambda: plots.curves_figure(read),
        "cost": lambda: plots.cost_figure(frame, read),
    }.items():
        try:
            figure = draw()
        except UserError as error:
            print(f"no {name} plot: {error}")
            continue
        print(f"written: {plots.save(figure, folder / f'{name}.{form}')}")
