"""RewardBench 2: does a reward model score the right one of four answers highest; and Ties.

In: ``rewardbench2/test.jsonl`` (id, prompt, chosen, rejected: lists of texts, subset). Out: the score of every
answer, accuracy by subset (an equal highest score counts by its share), Ties by its own rule, their average.
"""

from __future__ import annotations

from collections.abc import Sequence

from groundwork.conversations import read_messages
from harness.benchmarks.base import questions_in
from harness.benchmarks.rewardbench2.ties import Margins, margins, ties_score
from harness.benchmarks.scored_answers import (
    Part,
    Question,
    ScoredBenchmark,
    by_subset,
    cautious_part,
    mean_part,
    plain_mean,
)
from harness.data.sources import DataSource
from harness.errors import DataError
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

FILE = "rewardbench2/test.jsonl"
SUBSETS = ("Factuality", "Precise IF", "Math", "Safety", "Focus", "Ties")
TIES = "Ties"


class RewardBench2(ScoredBenchmark):
    """See the module; the folder's README has protocol, reference points and changelog."""

    name = "rewardbench2"
    files = (FILE,)
    info = BenchmarkInfo(
        "RewardBench 2",
        (
            InfoColumn("rb2", "RB2", 210, "average", item_metrics=("correct",)),
            InfoColumn("rb2_factuality", "Factuality", 211, "Factuality"),
            InfoColumn("rb2_precise_if", "Precise IF", 212, "Precise IF"),
            InfoColumn("rb2_math", "Math", 213, "Math"),
            InfoColumn("rb2_safety", "Safety (RB2)", 214, "Safety"),
            InfoColumn("rb2_focus", "Focus", 215, "Focus"),
            InfoColumn("rb2_ties", "Ties", 216, "Ties"),
        ),
        minimum_effect=3.0,
        spread=35.0,
        measures="reward",
    )
    questions = staticmethod(questions_in(FILE, text="prompt", item_id="id"))

    def read(self, data: DataSource) -> list[Question]:
        """The questions in file order, right answers first.

        Raises:
            DataError: a missing field, answers that are no lists of texts, an id that comes twice, or
                one of Ties that is not ``ref:N`` or ``tied:N`` (file and line).
        """
        path, found, seen = data.path(FILE), [], set()
        required = ("id", "prompt", "chosen", "rejected", "subset")
        for number, row in enumerate(data.rows(FILE, required=required), 1):
            where, name = f"{path}:{number}", str(row["id"])
            for side in ("chosen", "rejected"):
                texts = row[side]
                if (
                    not isinstance(texts, list)
                    or not texts
                    or any(type(t) is not str for t in texts)
                ):
                    raise DataError(f"{where}: {side} is no list of texts")
            if row["subset"] == TIES and name.split(":")[0] not in ("ref", "tied"):
                raise DataError(
                    f"{where}: the id of a Ties question is ref:N or tied:N, not {name!r}"
                )
            if (row["subset"], name) in seen:
                raise DataError(f"{where}: the id {name!r} comes twice")
            seen.add((row["subset"], name))
            prompt = tuple(read_messages(row["prompt"], f"{where}: prompt"))
            answers = (*row["chosen"], *row["rejected"])
            item = f"rewardbench2/{row['subset']}/{name}"
            found.append(Question(item, str(row["subset"]), prompt, answers, len(row["chosen"])))
        return found

    def figures(
        self, questions: Sequence[Question], scores: Sequence[Sequence[float]]
    ) -> tuple[list[float | None], dict[str, Part], dict[str, Part], tuple[str, ...]]:
        """A right answer that shares the highest score with others counts by its share."""
        values = [
            None if q.subset == TIES else best_share(found, q.correct)
            for q, found in zip(questions, scores, strict=True)
        ]
        subsets = {name: mean_part(v) for name, v in by_subset(questions, values).items()}
        grouped: dict[str, dict[str, Margins]] = {"tied": {}, "ref": {}}
        for question, found in zip(questions, scores, strict=True):
            if question.subset == TIES:
                kind, _, number = question.item_id.rsplit("/", 1)[1].partition(":")
                grouped[kind][number] = margins(found, question.correct)
        ties = ties_score(grouped["tied"], grouped["ref"])
        if ties is not None:
            subsets[TIES] = Part(ties, 0.0, len(grouped["tied"]) + len(grouped["ref"]))
        average = plain_mean({n: cautious_part(p) for n, p in subsets.items()}, SUBSETS)
        metrics = {**subsets} if average is None else {"average": average, **subsets}
        missing = tuple(name for name in SUBSETS if name not in subsets)
        return values, metrics, subsets, missing


def best_share(scores: Sequence[float], correct: int) -> float:
    """1 where a right answer alone has the highest score, its share where others have it too, else 0."""
    best = max(scores)
    top = [place for place, score in enumerate(scores) if score == best]
    return sum(place < correct for place in top) / len(top)


BENCHMARK = RewardBench2()
