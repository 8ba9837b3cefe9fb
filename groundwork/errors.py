"""The user's mistakes as one clear line each: what is wrong, where, and the nearest right thing."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake in what the user gave, or in its surroundings. The command line prints the message
    without a traceback and exits with code 2."""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name most like ``name`` regardless of case, or None. ``cutoff`` is difflib's ratio."""
    lowered = {k.lower(): k for k in known}
    close = get_close_matches(name.lower(), list(lowered), n=1, cutoff=cutoff)
    return lowered[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """``did you mean 'x'?`` with the nearest known name, else ``there are: a, b, c``."""
    names = list(known)
    close = nearest(name, names, cutoff)
    return f"did you mean {close!r}?" if close else f"there are: {', '.join(names)}"
