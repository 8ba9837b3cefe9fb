"""``sso-bench run``: the whole loop, or what is left of it."""

from __future__ import annotations

from harness.cli.options import (
    Evaluation,
    Execution,
    Judging,
    Quiet,
    RetryErrors,
    Training,
    configured,
    expanded,
)


@expanded
def run(
    training: Training,
    evaluation: Evaluation,
    judging: Judging,
    execution: Execution,
    retry_errors: RetryErrors = False,
    quiet: Quiet = False,
) -> None:
    """Train and evaluate every arm, iteration by iteration; the same line resumes it."""
    from harness.config import ConfigError
    from harness.experiment import Redo, run_experiment
    from harness.news import closing
    from harness.progress import Reporter, print_table, terminal
    from harness.retry_errors import failures
    from leaderboards import render_table
    from leaderboards.report import write_report

    config = configured(evaluation, judging, training, **execution.flags())
    if config.iterations < 1:
        raise ConfigError("iterations must be at least 1 (sso-bench eval scores a model as it is)")
    if not config.methods:
        raise ConfigError("no methods given: name at least one arm, as in --methods sso")
    folder = evaluation.folder(config)
    summary = run_experiment(
        config, folder, Reporter(terminal(), quiet), redo=Redo(evaluation.redo, retry_errors)
    )
    print_table(render_table([folder], format="terminal"))
    print(f"{summary}. Run folder: {folder}")
    for line in failures(summary.failed):
        print(line)
    if not quiet:
        for line in closing(folder, write_report([folder], folder / "report.html", None)):
            print(line)
