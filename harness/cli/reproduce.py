"""``sso-bench reproduce``: a published table or figure, from runs to the table beside the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Judging, Quiet, Set, expanded

if TYPE_CHECKING:
    from harness.reproduce import Options


@dataclass(frozen=True, kw_only=True)
class Making:
    """What is run, and where it goes."""

    scale: Annotated[
        str, typer.Option("--scale", help="paper, or quick: two CPU cores, sample data, minutes.")
    ] = "paper"
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="The paper's name of a model and yours: NAME=FOLDER."),
    ] = None
    data: Annotated[str | None, typer.Option("--data", help="sample, hub, or a data folder.")] = (
        None
    )
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the runs (runs/reproduce-SCALE).")
    ] = None
    set_: Set = None

    def options(self, judging: Judging) -> Options:
        """How the experiment is run.

        Raises:
            UserError: an override of what the table itself varies, or a model without its folder.
        """
        from harness.cli.options import given
        from harness.reproduce import Options, check_overrides, parse_models

        check_overrides(self.set_ or ())
        return Options(
            self.scale,  # type: ignore[arg-type]
            self.out or Path("runs") / f"reproduce-{self.scale}",
            parse_models(self.model or ()),
            tuple(self.set_ or ()),
            {**given(data=self.data), **judging.flags()},
        )


@dataclass(frozen=True, kw_only=True)
class Showing:
    """What is printed."""

    plan: Annotated[
        bool, typer.Option("--plan", help="Only print runs, stages, GPU hours and judge dollars.")
    ] = False
    show: Annotated[
        bool, typer.Option("--show", help="Only print the table of what is finished.")
    ] = False
    form: Annotated[
        str, typer.Option("--format", "-f", help="terminal, md, latex, html or csv.")
    ] = "terminal"


@expanded
def reproduce(
    judging: Judging,
    making: Making,
    showing: Showing,
    target: Annotated[
        str | None,
        typer.Argument(
            help="v1:table1, v2:figure3, sweep:gamma, overhead, ...; without: the list."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run the experiment of a published table or figure and print it beside the paper's.

    The same command resumes; runs that several tables need are made once.
    """
    from typing import get_args

    from rich.console import Console

    from groundwork.errors import UserError, did_you_mean
    from harness.experiments import Scale, experiments, get_experiment
    from harness.progress import Reporter
    from harness.reproduce import reproduce as run_target
    from harness.reproduce import result_text
    from harness.reproduce_plan import plan_lines
    from leaderboards.formats import format_named

    if making.scale not in get_args(Scale):
        raise UserError(
            f"no --scale {making.scale!r} ({did_you_mean(making.scale, get_args(Scale))})"
        )
    format_named(showing.form)
    if target is None:
        for name, found in experiments().items():
            print(f"{name:<24}{found.title}")
        return
    experiment = get_experiment(target)
    options = making.options(judging)
    if showing.plan:
        print("\n".join(plan_lines(experiment, options)))
        return
    if not showing.show:
        text = run_target(experiment, options, Reporter(Console(), quiet))
        if showing.form == "terminal":
            print(text)
            return
    print(result_text(experiment, options, showing.form))
