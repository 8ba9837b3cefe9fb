"""``sso-bench eval``: one model through the suite, nothing trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Evaluation, Judging, Quiet, RetryErrors, configured, expanded


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A part of the items alone, or all parts together."""

    shard: Annotated[
        str | None,
        typer.Option("--shard", help="Only answer every OF-th item, as 3/8; --merge scores them."),
    ] = None
    merge: Annotated[
        list[Path] | None,
        typer.Option("--merge", help="Folder of a shard whose answers to score (repeatable)."),
    ] = None


@expanded
def evaluate(
    model: Annotated[
        str, typer.Argument(help="Hub id, local folder, or with --engine openai the server's name.")
    ],
    evaluation: Evaluation,
    judging: Judging,
    parts: Parts,
    retry_errors: RetryErrors = False,
    quiet: Quiet = False,
) -> None:
    """Score one model on the benchmarks of a preset, or on those named."""
    from harness.experiment import Redo, run_experiment
    from harness.progress import Reporter, print_table, terminal
    from harness.retry_errors import failures
    from leaderboards import render_table

    evaluation = replace(evaluation, preset=evaluation.preset or default_preset(evaluation.engine))
    config = configured(evaluation, judging, model=model, iterations=0, methods=[])
    folder = evaluation.folder(config, prefix="eval-")
    reporter = Reporter(terminal(), quiet)
    if parts.shard is not None:
        from harness.shards import answer_shard, parse_shard

        part = parse_shard(parts.shard)
        folder = evaluation.out or folder.with_name(f"{folder.name}-{part.number}-of-{part.of}")
        answer_shard(config, folder, part, reporter)
        print(f"Shard {part.number} of {part.of}: {folder}")
        return
    summary = run_experiment(
        config, folder, reporter, redo=Redo(evaluation.redo, retry_errors), shards=parts.merge or ()
    )
    print_table(render_table([folder], format="terminal"))
    print(f"Run folder: {folder}")
    for line in failures(summary.failed):
        print(line)


def default_preset(engine: str | None) -> str:
    """The quick start's few items and float32 are for a CPU; a GPU or a server gets every item."""
    import torch

    return "suite" if engine == "openai" or torch.cuda.is_available() else "quickstart"
