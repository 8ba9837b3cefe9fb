"""The application object that every command registers with."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="sso-bench",
    help="Self-Steering Optimization end to end: train, evaluate every iteration, compare.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
