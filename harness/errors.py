"""Errors of data and protocols that callers tell apart from other user errors."""

from __future__ import annotations

from groundwork.errors import UserError


class DataError(UserError):
    """Data that are missing, incomplete or not what a benchmark expects."""


class ProtocolError(UserError):
    """An unknown or unusable benchmark protocol."""
