"""RewardBench: does a reward model score the better of two answers higher?

In: ``rewardbench/filtered.jsonl`` (prompt, chosen, rejected, subset, id). Out: the score of every answer,
accuracy by subset, the four sections with their published weights, their average. README.md has the protocol,
reference points and the changelog.
"""

from __future__ import annotations

from collections.abc import Sequence

from groundwork.conversations import read_preference
from harness.benchmarks.base import questions_in
from harness.benchmarks.rewardbench.sections import missing_subsets, section_parts
from harness.benchmarks.scored_answers import (
    Part,
    Question,
    ScoredBenchmark,
    by_subset,
    mean_part,
)
from harness.data.sources import DataSource
from harness.errors import DataError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

FILES = ("rewardbench/filtered.jsonl", "rewardbench/rewardbench.jsonl")


class RewardBench(ScoredBenchmark):
    """See the module; the folder's README has protocol, reference points and changelog."""

    name = "rewardbench"
    files = FILES
    info = BenchmarkInfo(
        "RewardBench",
        (
            InfoColumn("average", "Average", 200, "average", item_metrics=("correct",)),
            InfoColumn("chat", "Chat", 201, "chat"),
            InfoColumn("chat_hard", "Chat Hard", 202, "chat_hard"),
            InfoColumn("safety", "Safety", 203, "safety"),
            InfoColumn("reasoning", "Reasoning", 204, "reasoning"),
        ),
        minimum_effect=2.0,
        spread=30.0,
        measures="reward",
    )
    questions = staticmethod(questions_in(*FILES, text="prompt", item_id="id"))

    def read(self, data: DataSource) -> list[Question]:
        """The pairs in file order.

        Raises:
            DataError: a missing field, or an id that comes twice (file and line).
        """
        path, found, seen = data.path(*FILES), [], set()
        for number, row in enumerate(data.rows(*FILES, required=("chosen", "rejected")), 1):
            where = f"{path}:{number}"
            if row.get("subset") is None:
                raise DataError(f"{where}: the row has no field 'subset'")
            pair = read_preference(row, where)
            name = f"rewardbench/{row.get('id', number)}"
            if name in seen:
                raise DataError(f"{where}: the id {row['id']!r} comes twice")
            seen.add(name)
            answers = (pair.chosen, pair.rejected)
            found.append(Question(name, str(row["subset"]), pair.prompt, answers))
        return found

    def figures(
        self, questions: Sequence[Question], scores: Sequence[Sequence[float]]
    ) -> tuple[list[float | None], dict[str, Part], dict[str, Part], tuple[str, ...]]:
        """An equal score is no right answer, as in the official script."""
        values: list[float | None] = [float(chosen > rejected) for chosen, rejected in scores]
        subsets = {name: mean_part(v) for name, v in by_subset(questions, values).items()}
        return values, section_parts(subsets), subsets, missing_subsets(subsets)


BENCHMARK = RewardBench()
