"""``sso-bench eval``: one model through the suite, nothing trained."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.options import (
    Data,
    Engine,
    Judge,
    JudgeUrl,
    MaxCost,
    Out,
    Preset,
    Quiet,
    Seed,
    Set,
    flags,
    split_names,
)

Benchmarks = Annotated[
    str | None,
    typer.Option("--benchmarks", "-b", help="Which, comma-separated; NAME/PROTOCOL works too."),
]
Limit = Annotated[int | None, typer.Option("--limit", help="Items of each benchmark (stratified).")]


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

    from harness.config import RunConfig, load_config
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
    chosen_benchmarks = dict(config.benchmarks)
    if benchmarks is not None:
        chosen_benchmarks = select_benchmarks(config, split_names(benchmarks))
    if limit is not None:
        chosen_benchmarks = {
            name: settings.model_copy(update={"limit": limit})
            for name, settings in chosen_benchmarks.items()
        }
    config = RunConfig.model_validate(
        {
            **config.model_dump(),
            "benchmarks": {k: v.model_dump() for k, v in chosen_benchmarks.items()},
        }
    )
    folder = out or default_out(config, load_config(preset), prefix="eval-")
    console = Console()
    run_experiment(config, folder, Reporter(console, quiet))
    console.print(
        render([folder], format="terminal"), markup=False, highlight=False, soft_wrap=True
    )
    console.print(f"Run folder: {folder}", markup=False, highlight=False, soft_wrap=True)


def select_benchmarks(config, names):  # type: ignore[no-untyped-def]
    """The named benchmarks with the preset's settings; ``NAME/PROTOCOL`` picks the protocol."""
    from harness.config import BenchmarkSettings

    found = {}
    for entry in names:
        name, _, protocol = entry.partition("/")
        settings = config.benchmarks.get(name, BenchmarkSettings())
        found[name] = settings.model_copy(update={"protocol": protocol}) if protocol else settings
    return found
