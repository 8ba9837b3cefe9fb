"""Ends this process with SIGKILL at a chosen file operation, as a crash at that moment would."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPERATIONS = (
    (os, "replace"), (os, "rename"), (os, "fsync"), (os, "unlink"), (os, "mkdir"), (os, "truncate"),
    (shutil, "rmtree"), (pathlib.Path, "rename"), (pathlib.Path, "unlink"), (pathlib.Path, "mkdir"),
)  # fmt: skip


def die_at_file_operation(
    wanted: Callable[[str], bool], number: int, *, after: bool = False
) -> Callable[[], int]:
    """Be killed before (or ``after``) the ``number``-th operation whose path is ``wanted``.

    Operations without a path (``fsync``) count with the last path seen. Returns how many operations
    were counted so far.
    """
    seen = {"count": 0, "path": ""}

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **kwargs: Any) -> Any:
            if args and isinstance(args[0], str | os.PathLike):
                seen["path"] = os.fspath(
                    args[-1]
                    if len(args) > 1 and isinstance(args[-1], str | os.PathLike)
                    else args[0]
                )
            counts = wanted(str(seen["path"]))
            seen["count"] += counts
            due = counts and seen["count"] == number
            if due and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return operation

    for owner, name in OPERATIONS:
        setattr(owner, name, wrapped(getattr(owner, name)))
    return lambda: int(seen["count"])


def die_when_there(file: Path) -> None:
    """Be killed as soon as a file is there, whichever process writes it."""

    def watch() -> None:
        while not file.exists():
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
