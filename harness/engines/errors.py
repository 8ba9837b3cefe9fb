"""Errors of the engines."""

from __future__ import annotations

from groundwork.errors import UserError


class EngineError(UserError):
    """An engine that can't be opened, or that died."""


class ContextTooLong(EngineError):  # noqa: N818 (names the finding, as callers branch on it)
    """A prompt that leaves no room: ``needed`` and ``available`` in tokens, ``index`` of the item."""

    def __init__(self, needed: int, available: int, index: int = 0) -> None:
        self.needed, self.available, self.index = needed, available, index
        super().__init__(
            f"prompt {index} needs {needed} tokens of context, the model has {available}: "
            "use fewer shots or a shorter prompt"
        )
