"""``sso-bench reward``: train a reward model and score it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Preset, Quiet, Set


def reward(
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="Pairs: skywork, ultrafeedback, a file, or run:RUN[/ARM[/iter-N]] (repeatable).",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Hub id or local folder.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name in tables (default: from its data).")
    ] = None,
    preset: Preset = None,
    benchmarks: Annotated[
        str, typer.Option("--benchmarks", "-b", help="rewardbench, rewardbench2.")
    ] = "rewardbench",
    limit: Annotated[int | None, typer.Option("--limit", help="Items of each benchmark.")] = None,
    benchmark_data: Annotated[
        str | None,
        typer.Option("--benchmark-data", help="sample, hub or a folder: sets and benchmarks."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of head and order.")] = 0,
    set_: Set = None,
    redo: Annotated[
        bool, typer.Option("--redo", help="Replace finished stages of other settings.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a reward model on any mix of preference pairs and score it on RewardBench."""
    from rich.console import Console

    from harness.cli.options import given, select_benchmarks
    from harness.config import load_config
    from harness.progress import Reporter, print_table
    from harness.reward_run import run_reward
    from leaderboards import render_table

    flags = given(model=model, data=benchmark_data, reward=given(data=list(data or ()), name=name))
    config = load_config(
        preset or "quickstart", set_ or (), {**flags, "methods": [], "seeds": [seed]}
    )
    config = select_benchmarks(config, benchmarks, limit)
    folder = out or Path("runs") / f"reward-{config.preset}-{folder_name(config.reward.data, name)}"
    summary = run_reward(config, folder, Reporter(Console(), quiet), redo=redo)
    print_table(render_table([folder], "reward-models", "terminal"))
    print(
        f"{len(summary.done)} stages run, {len(summary.skipped)} were done before. Run folder: {folder}"
    )


def folder_name(data: tuple[str, ...], name: str | None) -> str:
    """A folder's name for a mix."""
    import re

    parts = [Path(spec.removeprefix("run:")).name for spec in data]
    return re.sub(r"[^\w.+-]+", "_", name or "+".join(parts) or "none")
