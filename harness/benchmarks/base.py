"""What a benchmark is: the contract that every benchmark folder implements.

A benchmark turns a checkpoint's answers into item scores and scores. Generation and scoring are
apart: ``generate`` writes ``outputs.jsonl`` (raw answers), ``score`` reads it, so that saved outputs
can be scored again under another extraction without generating.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.data.sources import DataSource
from harness.engines.base import Engine
from judges import Judge
from leaderboards.records import ItemScore, Score


@dataclass(frozen=True)
class ProtocolSpec:
    """A named way to run a benchmark, read from a small YAML file beside it.

    ``name`` is ``benchmark/protocol`` (``gsm8k/community``); ``version`` goes up with any change
    that moves a score; ``settings`` (shots, max_new_tokens, extraction, ...) all enter the id.
    ``marks`` are reason codes that every score of the protocol carries (``reduced-protocol``,
    ``reconstruction``).
    """

    name: str
    benchmark: str
    version: int
    description: str
    settings: Mapping[str, Any]
    reference_points: Mapping[str, float] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workload:
    """What an evaluation will ask for, for ``plan`` and for checks before the start."""

    items: int
    prompt_tokens: int
    new_tokens: int
    judge_calls: int = 0


@dataclass(frozen=True)
class EvalRequest:
    """One benchmark on one checkpoint. ``overrides`` replaces protocol settings (and enters the id);
    ``limit`` draws a seeded, stratified sample of the items, the same for every checkpoint."""

    data: DataSource
    protocol: ProtocolSpec
    limit: int | None = None
    seed: int = 0
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Item scores in item order, and the scores made from them (arm, iteration, seed and model are
    filled in by the caller)."""

    items: Sequence[ItemScore]
    scores: Sequence[Score]


class Benchmark(Protocol):
    """The module-level object ``BENCHMARK`` of ``harness/benchmarks/<name>/__init__.py``.

    ``gated``: the items' text must never lie on disk in the clear.
    """

    name: str
    title: str
    needs_judge: bool
    gated: bool

    def fingerprint(self, request: EvalRequest) -> str:
        """Hash of the data that the request reads, for the validity of a finished stage."""

    def workload(self, request: EvalRequest) -> Workload:
        """Items and tokens; raises ``DataError`` (one clear line) when the data are not usable."""

    def generate(
        self,
        request: EvalRequest,
        engine: Engine,
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Write ``folder/outputs.jsonl`` (one line an answer, in item order)."""

    def score(self, request: EvalRequest, folder: Path, judge: Judge | None = None) -> Outcome:
        """Score ``folder/outputs.jsonl``; pure but for the judge."""
