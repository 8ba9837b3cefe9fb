"""``sso-bench plan``: every stage with what it would cost, nothing run."""

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
    Seed,
    Set,
    flags,
    select_benchmarks,
)


@app.command()
def plan(
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
) -> None:
    """Print the stages of a run with estimates of tokens, time, disk and judge dollars."""
    from rich.console import Console

    from harness.config import load_config
    from harness.estimate import plan_table
    from harness.experiment import default_out
    from harness.preflight import prepare

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
    folder = out or default_out(config, load_config(preset))
    console = Console()
    prepared = prepare(config, None, lambda text: console.print(text, highlight=False))
    for line in plan_table(prepared, folder):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
