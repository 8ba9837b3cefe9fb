"""``sso-bench run``: the whole loop, or what is left of it."""

from __future__ import annotations

from harness.cli.app import app
from harness.cli.options import (
    Benchmarks,
    Data,
    Engine,
    Iterations,
    Judge,
    JudgeUrl,
    Limit,
    MaxCost,
    Methods,
    Model,
    Out,
    Preset,
    Principles,
    Quiet,
    Seed,
    Set,
    flags,
    select_benchmarks,
)


@app.command()
def run(
    preset: Preset = "quickstart",
    iters: Iterations = None,
    methods: Methods = None,
    model: Model = None,
    benchmarks: Benchmarks = None,
    limit: Limit = None,
    data: Data = None,
    judge: Judge = None,
    judge_url: JudgeUrl = None,
    max_cost: MaxCost = None,
    engine: Engine = None,
    principles: Principles = None,
    out: Out = None,
    seed: Seed = None,
    set_: Set = None,
    quiet: Quiet = False,
) -> None:
    """Train and evaluate every arm, iteration by iteration; the same line resumes it."""
    from rich.console import Console

    from harness.config import ConfigError, load_config
    from harness.experiment import default_out, run_experiment
    from harness.progress import Reporter
    from leaderboards import render

    chosen = flags(
        model=model,
        data=data,
        judge=judge,
        judge_url=judge_url,
        seed=seed,
        methods=methods,
        iterations=iters,
        max_cost=max_cost,
        engine=engine,
        principles=principles,
    )
    config = load_config(preset, set_ or (), chosen)
    config = select_benchmarks(config, benchmarks, limit)
    if config.iterations < 1:
        raise ConfigError("iterations must be at least 1 (sso-bench eval scores a model as it is)")
    if not config.methods:
        raise ConfigError("no methods given: name at least one arm, as in --methods sso")
    folder = out or default_out(config, load_config(preset))
    console = Console()
    summary = run_experiment(config, folder, Reporter(console, quiet))
    console.print(
        render([folder], format="terminal"), markup=False, highlight=False, soft_wrap=True
    )
    console.print(
        f"{len(summary.done)} stages run in {summary.seconds:.0f} s, {len(summary.skipped)} were "
        f"done before. Run folder: {folder}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
