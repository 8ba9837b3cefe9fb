"""``sso-bench plan``: every stage with what it would cost, nothing run."""

from __future__ import annotations

from harness.cli.options import Evaluation, Judging, Training, configured, expanded


@expanded
def plan(training: Training, evaluation: Evaluation, judging: Judging) -> None:
    """Print the stages of a run with estimates of tokens, time, disk and judge dollars."""
    from harness.estimate import plan_table
    from harness.prepare import prepare

    config = configured(evaluation, judging, training)
    prepared = prepare(config, None, print)
    for line in plan_table(prepared, evaluation.folder(config)):
        print(line)
