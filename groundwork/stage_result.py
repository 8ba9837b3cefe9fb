"""What a piece of work reports: the one record from the trainer to a stage's ``stage.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StageResult:
    """Counts (items, pairs, steps), measures (named numbers), tokens processed, dollars spent, and
    notes: what a reader of the figures should know, one sentence each (a fall-back taken, say)."""

    counts: Mapping[str, int] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0
    cost_usd: float = 0.0
    notes: tuple[str, ...] = ()
