"""``sso-bench plan``: every stage with what it would cost, nothing run."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import Evaluation, Judging, Training, configured, expanded


@expanded
def plan(
    training: Training,
    evaluation: Evaluation,
    judging: Judging,
    gpus: Annotated[
        str | None,
        typer.Option(
            "--gpus",
            help="Plan for these machines, as 8xH100 or 2x8xA100-80GB: needs no model, data, key or network.",
        ),
    ] = None,
) -> None:
    """Print the stages of a run with estimates of tokens, time, memory, disk and dollars."""
    config = configured(evaluation, judging, training)
    if gpus is not None:
        from harness.planning.devices import parse_machines
        from harness.planning.report import plan_report

        for line in plan_report(config, parse_machines(gpus)):
            print(line)
        return
    from harness.estimate import plan_table
    from harness.prepare import prepare

    prepared = prepare(config, None, print)
    for line in plan_table(prepared, evaluation.folder(config)):
        print(line)
