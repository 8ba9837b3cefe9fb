"""The entry point, and the one place where errors become exit codes.

Exit codes: 0 done, 1 a check failed, 2 the user's input or surroundings are wrong, 3 a check can't
tell, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
from typing import NoReturn

from groundwork.errors import UserError
from harness.cli.app import app

_SURROUNDINGS = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG,
)  # fmt: skip
"""What is wrong with a path that the user named, not with the program."""


def main() -> None:
    """Entry point of the ``sso-bench`` command."""
    from harness.cli import commands  # noqa: F401  (registers the commands)

    _quiet_libraries()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app(standalone_mode=True)
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


def _fail(message: str, code: int) -> NoReturn:
    lines = message.splitlines() or ["unknown error"]
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
    return shlex.join(["sso-bench", *sys.argv[1:]])


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
