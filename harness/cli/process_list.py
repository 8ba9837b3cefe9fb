"""Secrets of this process's own command line, out of what ``ps`` shows of it (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path

from groundwork.addresses import url_secrets

ARG_START = 48
"""Number of the field of ``/proc/PID/stat`` (from 1) with the address of the first argument."""


def hide_secrets(arguments: Sequence[str]) -> bool:
    """Overwrite the secrets of addresses among the arguments with stars, where they lie in memory;
    whether anything was to be hidden and is."""
    secrets = [
        secret.encode("utf-8", "surrogateescape")
        for argument in arguments
        for secret in url_secrets(argument[argument.find("=") + 1 :]) + url_secrets(argument)
    ]
    if not secrets or not sys.platform.startswith("linux"):
        return False
    hidden = False
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, line = int(fields[ARG_START - 3]), Path("/proc/self/cmdline").read_bytes()
        if not start or ctypes.string_at(start, len(line)) != line:
            return False
        for secret in secrets:
            place = line.find(secret)
            while place >= 0:
                ctypes.memset(start + place, ord("*"), len(secret))
                place, hidden = line.find(secret, place + 1), True
    return hidden
