"""An lm-eval task's own filters and metrics, run on answers that were saved before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.benchmarks.lm_eval_bridge import Row, TaskSpec, load_task


@dataclass(frozen=True)
class Judged:
    """One answer under one of the task's filters: what it extracted, and the metrics."""

    extracted: Any
    metrics: Mapping[str, Any]


LONGEST_EXTRACTED = 1000
"""Characters of an extracted answer that lm-eval's metric compares with the key."""


class TaskScorer:
    """A task's own filters and metrics on saved answers.

    Built with one document of the task's schema; ``target`` values are rendered once a document.
    """

    def __init__(self, spec: TaskSpec, doc: Row) -> None:
        self.task = load_task(spec, [doc], [doc])
        self._targets: dict[str, Any] = {}
        self._render = self.task.doc_to_target
        self.task.doc_to_target = self._target  # type: ignore[method-assign]

    def __call__(self, docs: Sequence[Row], answers: Sequence[Any]) -> list[dict[str, Judged]]:
        """For each answer (text, or (log-probability, greedy) of every choice): filter -> result."""
        results: list[dict[str, Judged]] = [{} for _ in docs]
        listed = [dict(doc) for doc in docs]
        if self.task.OUTPUT_TYPE == "multiple_choice":
            for number, (doc, pairs) in enumerate(zip(listed, answers, strict=True)):
                metrics = self.task.process_results(doc, [tuple(pair) for pair in pairs])
                best = max(range(len(pairs)), key=lambda k: pairs[k][0])
                results[number]["none"] = Judged(best, metrics)
            return results
        for ensemble in self.task._filters:
            filtered: Any = [[answer] for answer in answers]
            for make in ensemble.filters:
                filtered = make().apply(filtered, listed)
            for number, (doc, one) in enumerate(zip(listed, filtered, strict=True)):
                metrics = self.task.process_results(doc, [_bounded(one)])
                results[number][ensemble.name] = Judged(one, metrics)
        return results

    def _target(self, doc: Row, doc_to_target: Any = None) -> Any:
        key = json.dumps(doc, sort_keys=True, default=str)
        if key not in self._targets:
            self._targets[key] = self._render(doc, doc_to_target)
        return self._targets[key]


def _bounded(extracted: Any) -> Any:
    """The end of what a filter extracted. The metric's ``(?s).*#### `` takes quadratic time on long
    texts, and no key is as long as what is kept, so that the verdict stays."""
    return extracted[-LONGEST_EXTRACTED:] if isinstance(extracted, str) else extracted
