"""The one exception of this room: a mistake in what the user gave, said in one line."""

from __future__ import annotations


class SsoError(ValueError):
    """What is wrong, where, and the nearest right thing; the message is one clear line."""
