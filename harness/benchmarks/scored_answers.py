"""Benchmarks of reward models: answers to a question are scored, and the right ones should score highest.

In: questions with answers, the right ones first. Out: ``outputs.jsonl`` with the score of every answer, item
scores, scores by subset and section. The model gives scores (``sso.reward_model.Scorer``); it writes no text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from groundwork.conversations import Message
from harness.benchmarks.aggregate import Header, data_marks, flat, protocol_id
from harness.benchmarks.answers_file import read_outputs, text_hash, write_outputs
from harness.benchmarks.base import EvalRequest, Outcome, QuestionReader, Workload
from harness.benchmarks.item_subset import draw
from harness.data.sources import DataSource
from harness.errors import DataError
from judges import Judge
from leaderboards.benchmark_info import BenchmarkInfo
from leaderboards.records import ItemScore, Score
from leaderboards.statistics.proportions import FEW, agresti_coull_error

CHUNK = 64
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Question:
    """A prompt and its answers; the first ``correct`` of them are the right ones."""

    item_id: str
    subset: str
    prompt: tuple[Message, ...]
    answers: tuple[str, ...]
    correct: int = 1


class AnswerScorer(Protocol):
    """What these benchmarks need of a reward model."""

    def scores(
        self,
        items: Sequence[tuple[Sequence[Message], Sequence[str]]],
        progress: Callable[[int], None] = ...,
    ) -> list[tuple[float, ...]]:
        """The score of each answer, in order."""


@dataclass(frozen=True)
class Part:
    """A share of right answers with its standard error, 0 to 1, over ``n`` items."""

    value: float
    variance: float
    n: int

    @property
    def stderr(self) -> float | None:
        """Standard error; None for fewer than two items."""
        return math.sqrt(self.variance) if self.n > 1 else None


def mean_part(values: Sequence[float]) -> Part:
    """The mean of item values with the variance of a mean."""
    n = len(values)
    mean = sum(values) / n
    spread = sum((value - mean) ** 2 for value in values) / (n - 1) if n > 1 else 0.0
    return Part(mean, spread / n, n)


def cautious_part(part: Part) -> Part:
    """The part with Agresti and Coull's variance where it is a share of which few answers are right, or wrong:
    2 of 2 is not known exactly. A mean of several parts is made of such."""
    right = round(part.value * part.n)
    spread = part.value * (1 - part.value) / max(1, part.n - 1)
    is_share = abs(part.value * part.n - right) < 1e-9 and abs(part.variance - spread) < 1e-9
    if not is_share or min(right, part.n - right) >= FEW:
        return part
    return Part(part.value, agresti_coull_error(right, part.n) ** 2, part.n)


def weighted_part(parts: Sequence[tuple[Part, float]]) -> Part:
    """The weighted mean of parts, which are independent of each other."""
    total = sum(weight for _, weight in parts)
    value = sum(part.value * weight for part, weight in parts) / total
    variance = sum(part.variance * weight**2 for part, weight in parts) / total**2
    return Part(value, variance, sum(part.n for part, _ in parts))


class ScoredBenchmark:
    """See ``harness.benchmarks.base.Benchmark``; a subclass reads the questions and makes the figures."""

    name: str
    info: BenchmarkInfo
    files: tuple[str, ...]
    needs_judge = False
    questions: QuestionReader

    def read(self, data: DataSource) -> list[Question]:
        """All questions in file order."""
        raise NotImplementedError

    def figures(
        self, questions: Sequence[Question], scores: Sequence[Sequence[float]]
    ) -> tuple[list[float | None], dict[str, Part], dict[str, Part], tuple[str, ...]]:
        """Value of each item (None where only the whole has one), figures by metric, figures by subset,
        and the subsets or sections that are missing."""
        raise NotImplementedError

    def fingerprint(self, request: EvalRequest) -> str:
        """Hash of the data that this request reads."""
        return request.data.fingerprint(*self.files)

    def workload(self, request: EvalRequest) -> Workload:
        """All answers are read once; nothing is written."""
        questions, _ = self._drawn(request)
        characters = sum(
            sum(len(turn["content"]) for turn in q.prompt) + sum(map(len, q.answers))
            for q in questions
        )
        return Workload(len(questions), characters // _CHARACTERS_A_TOKEN, 0)

    def generate(
        self,
        request: EvalRequest,
        engine: Any,
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Score every answer with ``engine``, an ``AnswerScorer``; writes ``outputs.jsonl``."""
        scorer: AnswerScorer = engine
        questions, _ = self._drawn(request)
        rows: list[dict[str, Any]] = []
        for start in range(0, len(questions), CHUNK):
            part = questions[start : start + CHUNK]
            found = scorer.scores([(q.prompt, q.answers) for q in part])
            rows += [
                {
                    "item_id": q.item_id,
                    "category": q.subset,
                    "question": q.prompt[-1]["content"],
                    "prompt_hash": text_hash(repr((q.prompt, q.answers))),
                    "correct": q.correct,
                    "scores": list(scores),
                }
                for q, scores in zip(part, found, strict=True)
            ]
            progress(len(rows), len(questions))
        write_outputs(folder, rows)

    def score(self, request: EvalRequest, folder: Path, judge: Judge | None = None) -> Outcome:
        """Figures from the saved scores."""
        questions, available = self._drawn(request)
        rows = read_outputs(folder, [q.item_id for q in questions])
        settings = {**request.protocol.settings, **request.overrides}
        values, metrics, subsets, missing = self.figures(questions, [r["scores"] for r in rows])
        marks = data_marks(request, len(questions), available)
        if missing:
            marks += (f"without {', '.join(missing)}",)
        header = Header(
            self.name,
            protocol_id(request.protocol, settings),
            "average",
            flat(settings),
            request.data.label,
            marks,
        )
        items = [
            ItemScore(
                benchmark=self.name,
                item_id=q.item_id,
                values={} if value is None else {"correct": value},
                category=q.subset,
                prompt_hash=str(row["prompt_hash"]),
                extracted=", ".join(f"{score:.4f}" for score in row["scores"]),
            )
            for q, row, value in zip(questions, rows, values, strict=True)
        ]
        wanted = list(dict.fromkeys(c.metric for c in self.info.columns if c.metric))
        scores = [_score(header, name, metrics.get(name), len(questions)) for name in wanted]
        for subset, part in subsets.items():
            found = _score(header, "accuracy", part, part.n)
            scores.append(found.model_copy(update={"category": subset, "headline": False}))
        return Outcome(items, scores)

    def _drawn(self, request: EvalRequest) -> tuple[list[Question], int]:
        everything = self.read(request.data)
        if not everything:
            raise DataError(f"{request.data.path(*self.files)}: no questions")
        chosen = draw(everything, lambda q: q.subset, request.limit, request.seed)
        return chosen, len(everything)


def _score(header: Header, metric: str, part: Part | None, expected: int) -> Score:
    stderr = None if part is None else part.stderr
    return Score(
        benchmark=header.benchmark,
        metric=metric,
        value=None if part is None else 100 * part.value,
        stderr=None if stderr is None else 100 * stderr,
        n=0 if part is None else part.n,
        n_expected=expected if part is None else part.n,
        protocol=header.protocol,
        settings=dict(header.settings),
        data=header.data,
        marks=header.marks,
        headline=metric == header.headline,
    )


def by_subset(
    questions: Sequence[Question], values: Sequence[float | None]
) -> dict[str, list[float]]:
    """Item values by subset, in order of appearance; items without a value are left out."""
    found: dict[str, list[float]] = {}
    for question, value in zip(questions, values, strict=True):
        if value is not None:
            found.setdefault(question.subset, []).append(value)
    return found


def plain_mean(parts: Mapping[str, Part], names: Sequence[str]) -> Part | None:
    """The plain mean of the named parts, which are independent; None unless all are there."""
    if any(name not in parts for name in names):
        return None
    return weighted_part([(parts[name], 1.0) for name in names])
