"""What tables, plots, the gate and planning need to know of a benchmark, and of an arm.

A benchmark states its own ``BenchmarkInfo``; every score carries the part that concerns it
(``ScoreInfo``), so that a reader of scores keeps no list of benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["benchmark", "pairs", "training"]
LAST = 1000
"""Place of a column whose benchmark states none: after all others."""


class ScoreInfo(BaseModel):
    """How one score is shown and judged.

    ``column`` is the key of its table column ("" for none), ``label`` the heading, ``order`` the
    place among the columns; ``better`` 1: higher is better, 0: never ranked (a length).
    ``item_metrics`` stand for the metric where the items hold none of its name.
    ``minimum_effect`` is the smallest loss that matters, in the score's unit. ``gated``: the items'
    text must never be written in clear. ``kind`` "pairs": a figure of the training pairs,
    "training": a quantity of the method.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    title: str
    column: str = ""
    label: str = ""
    order: int = LAST
    better: Literal[0, 1] = 1
    item_metrics: tuple[str, ...] = ()
    minimum_effect: float | None = None
    gated: bool = False
    kind: Kind = "benchmark"


@dataclass(frozen=True)
class ArmInfo:
    """How an arm is shown: its title, its place in a table, and whether it is an ablation."""

    title: str
    order: int = LAST
    ablation: bool = False


@dataclass(frozen=True)
class InfoColumn:
    """One table column of a benchmark; ``metric`` None means its headline metric."""

    key: str
    label: str
    order: int = LAST
    metric: str | None = None
    better: Literal[0, 1] = 1
    item_metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class BenchmarkInfo:
    """The facts of one benchmark.

    ``minimum_effect``: smallest loss of the headline figure that matters, in its unit; about 1.4
    times what the full benchmark detects, so that an unchanged model passes the gate and a loss of
    that size hardly slips through. ``spread``: standard deviation of a paired difference between
    neighbouring checkpoints, for planning (accuracies: 100 times the root of the share of items that
    change; ratings: points between two ratings of one turn). ``design_effect``: 1 + the correlation
    of items that share a question. ``measures``: what kind of model it is run on, one that writes
    ``text`` or a ``reward`` model.
    """

    title: str
    columns: tuple[InfoColumn, ...]
    minimum_effect: float | None = None
    spread: float = 39.0
    design_effect: float = 1.0
    gated: bool = False
    kind: Kind = "benchmark"
    measures: Literal["text", "reward"] = "text"

    def of_score(self, metric: str, headline: bool) -> ScoreInfo:
        """What a score of ``metric`` carries."""
        shared = {"title": self.title, "gated": self.gated, "kind": self.kind}
        for column in self.columns:
            if column.metric == metric or (column.metric is None and headline):
                return ScoreInfo(
                    **shared,
                    column=column.key,
                    label=column.label,
                    order=column.order,
                    better=column.better,
                    item_metrics=column.item_metrics,
                    minimum_effect=self.minimum_effect if headline else None,
                )
        return ScoreInfo(**shared)
