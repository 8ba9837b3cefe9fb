"""``sso-bench watch``: the checkpoints of a training, evaluated as they appear."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Evaluation, Judging, Quiet, configured, expanded


@dataclass(frozen=True, kw_only=True)
class Watching:
    """What is looked for, and how long."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Starting model: scored first, base of adapters, local judge."
        ),
    ] = None
    name: Annotated[
        str | None, typer.Option("--name", help="The training's name in tables (default: DIR's).")
    ] = None
    once: Annotated[
        bool, typer.Option("--once", help="Only what is there now, then the table.")
    ] = False
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between looks.")] = 30.0


@expanded
def watch(
    folder: Annotated[Path, typer.Argument(help="Folder in which a trainer leaves checkpoints.")],
    watching: Watching,
    evaluation: Evaluation,
    judging: Judging,
    quiet: Quiet = False,
) -> None:
    """Evaluate every checkpoint that appears in a folder, once, in the order of its steps."""
    from harness.cli.eval_model import default_preset
    from harness.progress import Reporter, print_table, terminal
    from harness.watch import WatchSettings
    from harness.watch import watch as watch_folder
    from leaderboards import render_table

    evaluation = replace(evaluation, preset=evaluation.preset or default_preset(evaluation.engine))
    start = watching.model or str(folder.absolute())
    config = configured(evaluation, judging, model=start, iterations=0, methods=[])
    out = evaluation.folder(config, prefix="watch-")
    how = WatchSettings(
        folder, watching.model, watching.name, watching.once, watching.every, evaluation.redo
    )
    count = watch_folder(config, out, Reporter(terminal(), quiet), how)
    print_table(render_table([out], format="terminal"))
    print(f"Checkpoints evaluated now: {count}. Run folder: {out}")
