"""Arena-Hard: hard questions of people, the answer judged against a baseline's, in both orders and five steps.

In: ``arena_hard/question.jsonl`` and ``arena_hard/model_answer/BASELINE.jsonl`` (v2.0: ``arena_hard_v2/``). Out: answers,
verdicts in both orders, the Bradley-Terry win rate against the baseline with a bootstrap interval.
"""

from __future__ import annotations

from harness.benchmarks.arena_hard.benchmark import ArenaHard

BENCHMARK = ArenaHard()
