"""Records of the results room: the score of one item and the score of one checkpoint."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from groundwork.records import Record
from leaderboards.benchmark_info import ScoreInfo

ReasoningState = Literal["", "closed", "unclosed"]
"""Whether an answer had reasoning sections, and whether it ended inside one."""


class ItemScore(Record):
    """What one checkpoint scored on one item of one benchmark.

    ``values`` maps metric to value in the metric's own item unit (0/1 for accuracy, 0..1 for a
    preference, 1..10 for a rating, characters for a length). An item without a usable answer keeps
    its line: ``truncated``, ``unparsed`` and ``error`` record what happened to it, and ``values``
    holds what the protocol scores such an item with (nothing, when the protocol excludes it). ``reasoning``
    says whether the answer had reasoning sections, which are not scored.
    ``cluster`` groups items that share a question (the two turns of MT-Bench).
    """

    benchmark: str
    item_id: str
    values: dict[str, float]
    category: str = ""
    cluster: str = ""
    truncated: bool = False
    unparsed: bool = False
    error: str = ""
    reasoning: ReasoningState = ""
    prompt_hash: str = ""
    extracted: str | None = None


class Score(Record):
    """One figure of one checkpoint: a cell of a table.

    ``value``, ``stderr``, ``ci_low`` and ``ci_high`` share ``unit``: percent (0..100), points
    (1..10) or characters. ``stderr`` is one standard error of the mean (clustered where items share
    a question). ``n`` items entered the value, of ``n_expected`` requested. ``protocol`` is the
    protocol id: two scores with different ids never share a column unmarked. ``marks`` are reason
    codes why the figure can't be compared with published ones: ``sample-data``, ``item-limit``,
    ``local-judge``, ``reduced-protocol``.
    ``headline`` marks the metric that a summary table shows for the benchmark; ``info`` describes how
    the score is shown and judged (missing in scores of older releases).
    """

    benchmark: str
    metric: str
    value: float | None
    unit: Literal["percent", "points", "characters"] = "percent"
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int
    n_expected: int
    n_truncated: int = 0
    n_unparsed: int = 0
    n_error: int = 0
    n_missing: int = 0
    n_reasoning: int = 0
    n_unclosed: int = 0
    protocol: str
    settings: dict[str, str] = Field(default_factory=dict)
    judge: str = ""
    data: str = ""
    marks: tuple[str, ...] = ()
    headline: bool = False
    category: str = ""
    arm: str = ""
    iteration: int = 0
    seed: int = 0
    model: str = ""
    info: ScoreInfo | None = None
