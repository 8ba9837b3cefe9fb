"""What can go wrong through a user's input or surroundings, as one clear line each."""

from __future__ import annotations


class HarnessError(ValueError):
    """Base of the harness's errors: the message says what is wrong, where, the nearest right thing."""


class DataError(HarnessError):
    """Data that are missing, incomplete or not what a benchmark expects."""


class ProtocolError(HarnessError):
    """An unknown or unusable benchmark protocol."""
