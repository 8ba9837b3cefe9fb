"""The one error of this room that a user can cause and mend."""

from __future__ import annotations


class LeaderboardError(ValueError):
    """Bad input; the message is one clear line: what is wrong, where, and what to do instead."""
