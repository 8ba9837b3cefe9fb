"""What goes wrong while judging, in one clear line."""

from __future__ import annotations

from groundwork.errors import UserError


class JudgeError(UserError):
    """A mistake of the user or an obstacle of the judge's server, in one line for the terminal."""


class BudgetError(JudgeError):
    """The budget in dollars or calls does not cover what is left to ask."""
