"""``sso-bench reward``: train a reward model and score it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Preset, Quiet, Set, expanded

if TYPE_CHECKING:
    from harness.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class RewardTraining:
    """What the reward model is trained on, and from what."""

    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="Pairs: skywork, ultrafeedback, a file, or run:RUN[/ARM[/iter-N]] (repeatable).",
        ),
    ] = None
    model: Annotated[str | None, typer.Option("--model", "-m", help="Hub id or local folder.")] = (
        None
    )
    name: Annotated[
        str | None, typer.Option("--name", help="Name in tables (default: from its data).")
    ] = None
    preset: Preset = None
    seed: Annotated[int, typer.Option("--seed", help="Seed of head and order.")] = 0
    set_: Set = None


@dataclass(frozen=True, kw_only=True)
class RewardScoring:
    """What it is scored on, and where it goes."""

    benchmarks: Annotated[
        str, typer.Option("--benchmarks", "-b", help="rewardbench, rewardbench2.")
    ] = "rewardbench"
    limit: Annotated[int | None, typer.Option("--limit", help="Items of each benchmark.")] = None
    benchmark_data: Annotated[
        str | None,
        typer.Option("--benchmark-data", help="sample, hub or a folder: sets and benchmarks."),
    ] = None
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder.")] = None
    redo: Annotated[
        bool, typer.Option("--redo", help="Replace finished stages of other settings.")
    ] = False


@expanded
def reward(training: RewardTraining, scoring: RewardScoring, quiet: Quiet = False) -> None:
    """Train a reward model on any mix of preference pairs and score it on RewardBench."""
    from rich.console import Console

    from harness.progress import Reporter, print_table
    from harness.reward_run import run_reward
    from leaderboards import render_table

    config = reward_config(training, scoring)
    name = folder_name(config.reward.data, training.name)
    folder = scoring.out or Path("runs") / f"reward-{config.preset}-{name}"
    summary = run_reward(config, folder, Reporter(Console(), quiet), redo=scoring.redo)
    print_table(render_table([folder], "reward-models", "terminal"))
    print(
        f"{len(summary.done)} stages run, {len(summary.skipped)} were done before. Run folder: {folder}"
    )


def reward_config(training: RewardTraining, scoring: RewardScoring) -> RunConfig:
    """The configuration of the command.

    Raises:
        ConfigError: listing every problem found, one per line.
    """
    from harness.cli.options import given, select_benchmarks
    from harness.config import load_config

    pairs = given(data=list(training.data or ()), name=training.name)
    flags = given(model=training.model, data=scoring.benchmark_data, reward=pairs)
    settled = {**flags, "methods": [], "seeds": [training.seed]}
    config = load_config(training.preset or "quickstart", training.set_ or (), settled)
    return select_benchmarks(config, scoring.benchmarks, scoring.limit)


def folder_name(data: tuple[str, ...], name: str | None) -> str:
    """A folder's name for a mix."""
    import re

    parts = [Path(spec.removeprefix("run:")).name for spec in data]
    return re.sub(r"[^\w.+-]+", "_", name or "+".join(parts) or "none")
