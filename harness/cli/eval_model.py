"""``sso-bench eval``: one model through the suite, nothing trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from harness.cli.options import Evaluation, Judging, Quiet, configured, expanded


@expanded
def evaluate(
    model: Annotated[str, typer.Argument(help="Hub id or local folder.")],
    evaluation: Evaluation,
    judging: Judging,
    quiet: Quiet = False,
) -> None:
    """Score one model on the benchmarks of a preset, or on those named."""
    from harness.experiment import run_experiment
    from harness.progress import Reporter, print_table, terminal
    from leaderboards import render_table

    evaluation = replace(evaluation, preset=evaluation.preset or default_preset())
    config = configured(evaluation, judging, model=model, iterations=0, methods=[])
    folder = evaluation.folder(config, prefix="eval-")
    run_experiment(config, folder, Reporter(terminal(), quiet), redo=evaluation.redo)
    print_table(render_table([folder], format="terminal"))
    print(f"Run folder: {folder}")


def default_preset() -> str:
    """The quick start's few items and float32 are for a CPU; a GPU gets every item."""
    import torch

    return "suite" if torch.cuda.is_available() else "quickstart"
