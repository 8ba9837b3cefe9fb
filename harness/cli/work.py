"""``sso-bench work``: one more process, on any machine, for a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Quiet


def work(
    run: Annotated[Path, typer.Argument(help="Folder of a run, shared by all who work on it.")],
    quiet: Quiet = False,
) -> None:
    """Take stages of a run that are ready, until all are done; several can work on one run."""
    from harness.progress import Reporter, terminal
    from harness.retry_errors import failures
    from harness.work import work as join

    summary = join(run, Reporter(terminal(), quiet))
    print(f"{summary}. Run folder: {run}")
    for line in failures(summary.failed):
        print(line)
