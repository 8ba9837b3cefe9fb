"""lm-eval's own filters and metrics on saved answers."""

from __future__ import annotations

from harness.benchmarks.lm_eval_bridge import INVALID, TaskSpec
from harness.benchmarks.task_scorer import TaskScorer


def test_filters_and_metrics_of_gsm8k() -> None:
    scorer = TaskScorer(TaskSpec("gsm8k", "gsm8k"), {"question": "1", "answer": "#### 1"})
    docs = [{"question": "", "answer": "#### 1,004"}] * 3
    strict, loose, none = scorer(docs, ["So\n#### 1,004", "It is 1,004.", "no number"])
    assert strict["strict-match"].metrics["exact_match"] == 1
    assert (loose["strict-match"].extracted, loose["flexible-extract"].extracted) == (
        INVALID,
        "1,004.",
    )
    assert loose["flexible-extract"].metrics["exact_match"] == 1
    assert {one.metrics["exact_match"] for one in none.values()} == {0}


def test_the_likeliest_choice_counts() -> None:
    doc = {"question": "", "choices": ["", "", "", ""], "answer": 2, "subject": "anatomy"}
    scorer = TaskScorer(TaskSpec("mmlu", "mmlu_anatomy"), doc)
    pairs = [(-3.0, False), (-2.0, False), (-1.0, True), (-4.0, False)]
    (right,), (wrong,) = (scorer([{**doc, "answer": key}], [pairs]) for key in (2, 0))
    assert (right["none"].extracted, right["none"].metrics["acc"]) == (2, 1.0)
    assert wrong["none"].metrics["acc"] == 0.0
