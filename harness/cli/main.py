"""The application: every command in one list, and the one place where errors become exit codes.

Exit codes: 0 done, 1 a check failed, 2 the user's input or surroundings are wrong, 3 a check can't
tell, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import typer

from groundwork.addresses import without_secrets
from groundwork.errors import UserError
from groundwork.printable import PrintableStream, printable
from harness.cli import (
    check,
    compare,
    data,
    doctor,
    eval_model,
    history,
    import_results,
    judge,
    plan,
    presets,
    report,
    reproduce,
    rescore,
    reward,
    run,
    table,
    verdicts,
    watch,
    work,
)
from harness.cli.process_list import hide_secrets

COMMANDS: dict[str, Any] = {
    "run": run.run,
    "work": work.work,
    "eval": eval_model.evaluate,
    "watch": watch.watch,
    "reward": reward.reward,
    "reproduce": reproduce.reproduce,
    "plan": plan.plan,
    "table": table.table,
    "report": report.report,
    "plot": report.plot,
    "compare": compare.compare,
    "check": check.check,
    "baseline": check.baseline,
    "history": history.history,
    "pairs": judge.pairs,
    "judge": judge.judge,
    "verdicts": verdicts.verdicts,
    "rescore": rescore.rescore,
    "import": import_results.import_,
    "data": data.data,
    "presets": presets.presets,
    "doctor": doctor.doctor,
}
"""Every command of ``sso-bench`` in the order in which ``--help`` lists them."""

_SURROUNDINGS = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG,
)  # fmt: skip
"""What is wrong with a path that the user named, not with the program."""


def main() -> None:
    """Entry point of the ``sso-bench`` command."""
    _quiet_libraries()
    hide_secrets(sys.argv[1:])
    with printable_streams():
        _run()


def _run() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        application()(standalone_mode=True)
    except (Interrupted, KeyboardInterrupt):
        _fail(f"interrupted; finished work is kept. Resume with:\n  {_command_line()}", 130)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" ({error.filename})" if error.filename else ""
            _fail(
                f"the disk is full{where}; finished work is kept. Free some space and resume "
                f"with:\n  {_command_line()}",
                2,
            )
        if error.errno in _SURROUNDINGS and error.filename:
            _fail(f"{error.filename}: {error.strerror}", 2)
        raise
    except UserError as error:
        _fail(str(error), 2)


def application() -> typer.Typer:
    """``sso-bench`` with all its commands."""
    app = typer.Typer(
        name="sso-bench",
        help="Self-Steering Optimization end to end: train, evaluate every iteration, compare.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name, command in COMMANDS.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"sso-bench {version('sso-bench')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Options of the program itself."""


def _fail(message: str, code: int) -> NoReturn:
    lines = printable(without_secrets(message)).splitlines() or ["unknown error"]
    print(f"sso-bench: {lines[0]}", file=sys.stderr)
    for line in lines[1:]:
        print(f"           {line}" if code == 2 else line, file=sys.stderr)
    sys.stderr.flush()
    raise SystemExit(code)


class Interrupted(BaseException):
    """Ctrl-C or a polite kill. Not ``KeyboardInterrupt``: the argument parser has its own idea of
    that one and would end without a word."""


def _interrupt(signum: int, frame: object) -> None:
    raise Interrupted


def _command_line() -> str:
    return shlex.join(["sso-bench", *map(without_secrets, sys.argv[1:])])


@contextlib.contextmanager
def printable_streams() -> Iterator[None]:
    """Standard output and error that pass no control characters on: what a model, a judge or a file
    holds is printed by many commands."""
    streams = sys.stdout, sys.stderr
    sys.stdout = PrintableStream(streams[0])  # type: ignore[assignment]
    sys.stderr = PrintableStream(streams[1], bars=True)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def _quiet_libraries() -> None:
    """Libraries talk through our own progress, not through theirs."""
    for name, value in {
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }.items():
        os.environ.setdefault(name, value)
