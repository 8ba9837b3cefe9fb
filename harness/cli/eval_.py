"""``sso-bench eval``: one model through the suite, nothing trained."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.options import (
    Benchmarks,
    Data,
    Engine,
    Judge,
    JudgeUrl,
    Limit,
    MaxCost,
    Out,
    Preset,
    Quiet,
    Seed,
    Set,
    flags,
    select_benchmarks,
)


@app.command(name="eval")
def evaluate(
    model: Annotated[str, typer.Argument(help="Hub id or local folder.")],
    preset: Preset = "quickstart",
    benchmarks: Benchmarks = None,
    limit: Limit = None,
    data: Data = None,
    judge: Judge = None,
    judge_url: JudgeUrl = None,
    max_cost: MaxCost = None,
    engine: Engine = None,
    out: Out = None,
    seed: Seed = None,
    set_: Set = None,
    quiet: Quiet = False,
) -> None:
    """Score one model on the benchmarks of a preset, or on those named."""
    from rich.console import Console

    from harness.config import load_config
    from harness.experiment import default_out, run_experiment
    from harness.progress import Reporter
    from leaderboards import render

    chosen = flags(
        model=model,
        data=data,
        judge=judge,
        judge_url=judge_url,
        seed=seed,
        max_cost=max_cost,
        engine=engine,
    )
    config = load_config(preset, set_ or (), {**chosen, "iterations": 0, "methods": []})
    config = select_benchmarks(config, benchmarks, limit)
    folder = out or default_out(config, load_config(preset), prefix="eval-")
    console = Console()
    run_experiment(config, folder, Reporter(console, quiet))
    console.print(
        render([folder], format="terminal"), markup=False, highlight=False, soft_wrap=True
    )
    console.print(f"Run folder: {folder}", markup=False, highlight=False, soft_wrap=True)
