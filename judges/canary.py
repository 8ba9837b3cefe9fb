"""Drift: a small fixed set is judged at the start of each run and compared with the first time."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from judges.records import Comparison
from judges.server import ServerJudge

CANARIES = Path(__file__).parent / "data" / "canary.jsonl"
MEAN_CHANGE = 0.05
"""Mean change of the preferences (on their scale of 1..2) that is more than a server's own noise."""
SIDE_CHANGES = 1
"""Changed sides that a server's noise may explain."""


@dataclass(frozen=True)
class Drift:
    """The canary set now against the first time it was judged.

    ``first`` is true when there was nothing to compare with. ``mean_change`` is over items with a
    value both times; ``side_changes`` counts preferences that crossed the middle.
    """

    judge: str
    served_then: str
    served_now: str
    n: int
    mean_change: float
    side_changes: int
    unusable: int
    first: bool

    @property
    def drifted(self) -> bool:
        """Whether this is another judge than the one whose verdicts are stored."""
        renamed = self.served_then != self.served_now
        moved = self.mean_change > MEAN_CHANGE or self.side_changes > SIDE_CHANGES
        return not self.first and (renamed or moved)

    def line(self) -> str:
        """One line for the terminal and the report."""
        if self.first:
            return f"{self.judge}: canary set of {self.n} stored for later runs"
        name = self.served_now
        if self.served_then != self.served_now:
            name = f"{self.served_then}, now {self.served_now}"
        verdict = "DRIFTED" if self.drifted else "unchanged"
        return (
            f"{self.judge} ({name}): {verdict}, preferences moved by {self.mean_change:.3f} on "
            f"average, {self.side_changes} of {self.n} changed side"
        )


def run_canary(judge: ServerJudge) -> Drift:
    """Ask the canary set afresh and compare; the first result is what later ones are held against.

    Costs as many one-token requests as the set has items, once per run: what a run that was killed has
    asked already is not asked again.

    Raises:
        JudgeError: the server does not answer, or the budget does not cover it.
    """
    items = canary_set()
    salt = judge.settings.scope or str(time.time_ns())
    verdicts = judge.afresh(f"canary-{salt}").preferences(items)
    rows = judge.store.get([v.request_key for v in verdicts if v.request_key])
    served = sorted({row.served for row in rows.values()})
    now: dict[str, Any] = {"served": " and ".join(served), "values": [v.value for v in verdicts]}
    fact = f"canary:{judge.identity}:{judge.letters}"
    then = judge.store.fact(fact)
    if then is None or len(then["values"]) != len(items):
        judge.store.set_fact(fact, now)
        then, first = now, True
    else:
        first = False
    both = [
        (a, b)
        for a, b in zip(then["values"], now["values"], strict=True)
        if a is not None and b is not None
    ]
    return Drift(
        judge=judge.identity,
        served_then=then["served"],
        served_now=now["served"],
        n=len(items),
        mean_change=sum(abs(a - b) for a, b in both) / len(both) if both else 0.0,
        side_changes=sum((a < 1.5) != (b < 1.5) for a, b in both),
        unusable=len(items) - len(both),
        first=first,
    )


@cache
def canary_set() -> tuple[Comparison, ...]:
    """The shipped comparisons: some clear, some close, both sides winning."""
    lines = CANARIES.read_text(encoding="utf-8").splitlines()
    return tuple(Comparison(**json.loads(line)) for line in lines)
