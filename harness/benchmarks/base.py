"""What a benchmark is: the contract that every benchmark folder implements.

A benchmark turns a checkpoint's answers into item scores and scores. Generation and scoring are
apart: ``generate`` writes ``outputs.jsonl`` (raw answers), ``score`` reads it, so that saved outputs
can be scored again under another extraction without generating.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.data.sources import DataSource
from judges import Judge
from leaderboards.benchmark_info import BenchmarkInfo
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

    def described(self, info: BenchmarkInfo, **fields: Any) -> Outcome:
        """The same with ``fields`` and the benchmark's facts in every score."""
        scores = [
            score.model_copy(update={**fields, "info": info.of_score(score.metric, score.headline)})
            for score in self.scores
        ]
        return Outcome(self.items, scores)


QuestionReader = Callable[[DataSource], Iterable[tuple[str, str]]]
"""From the data to (item id, text of a question), for the contamination check."""


def questions_in(*files: str, text: str, item_id: str | None = None) -> QuestionReader:
    """Reads the questions of a data file, or of the first alternative that is present.

    ``text`` is the field of the question (each entry of a list is a text of its own), ``item_id``
    that of its id (the row number where there is none). Without a file there are no questions.
    """

    def read(data: DataSource) -> Iterator[tuple[str, str]]:
        if data.find(*files) is None:
            return
        for number, row in enumerate(data.rows(*files, required=(text,))):
            value = row[text]
            for part in value if isinstance(value, list) else [value]:
                yield str(row.get(item_id, number) if item_id else number), str(part)

    return read


class Benchmark(Protocol):
    """The module-level object ``BENCHMARK`` of a benchmark's folder.

    ``info`` holds all that tables, plots, the gate and planning need; with ``info.gated`` the
    items' text never lies on disk in the clear. ``questions`` gives the texts of the items, the
    largest set that the data hold. A benchmark with ``needs_judge`` may have ``judged(request)``, a
    ``harness.benchmarks.judge_ahead.Judged``: its answers are then judged while others are written.
    """

    name: str
    info: BenchmarkInfo
    needs_judge: bool
    questions: QuestionReader

    def fingerprint(self, request: EvalRequest) -> str:
        """Hash of the data that the request reads, for the validity of a finished stage."""

    def workload(self, request: EvalRequest) -> Workload:
        """Items and tokens; raises ``DataError`` (one clear line) when the data are not usable."""

    def generate(
        self,
        request: EvalRequest,
        engine: Any,
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Write ``folder/outputs.jsonl`` (one line per answer, in item order). ``engine`` is an
        ``harness.engines.base.Engine``, or where ``info.measures`` is ``reward`` a scorer of answers."""

    def score(self, request: EvalRequest, folder: Path, judge: Judge | None = None) -> Outcome:
        """Score ``folder/outputs.jsonl``; pure but for the judge."""
