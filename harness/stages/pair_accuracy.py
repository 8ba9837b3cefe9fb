"""The stage that asks the judge whether the chosen side of the preference pairs is better."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from groundwork.conversations import transcript
from groundwork.files import digest, write_lines
from groundwork.reasoning import more_markers, split_reasoning
from groundwork.stored import chosen, stored_rows
from harness.stage import CheckpointKey, PlanInputs, Source, Stage, StageContext, StageResult
from harness.stages.results import VERDICTS, write_results
from judges import Comparison, PairAccuracy, PairOutcome
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn
from leaderboards.records import ItemScore, Score

PROTOCOL_VERSION = 2
INFO = BenchmarkInfo(
    "Pair accuracy",
    (InfoColumn("pair_accuracy", "Pair acc.", 110, "accuracy", item_metrics=("correct",)),),
    minimum_effect=8.0,
    spread=60.0,
    kind="pairs",
)


def pair_accuracy_stage(inputs: PlanInputs, key: CheckpointKey, pairs: Source) -> Stage:
    """Accuracy of one iteration's pairs, on a seeded sample of ``pair_accuracy.limit`` of them."""
    config = inputs.config
    prompt = config.pair_accuracy.prompt
    markers = [list(pair) for pair in config.reasoning_markers]

    def work(run: StageContext) -> StageResult:
        from judges import pair_accuracy

        rows = stored_rows(run.inputs["pairs"])
        sample = draw_pairs(rows, config.pair_accuracy.limit, key.seed)
        judge = run.resources.judge("pairs")
        with more_markers(config.reasoning_markers):
            compared = [comparison(row) for row in sample]
            result = pair_accuracy(judge, compared, [1] * len(sample), config.pair_accuracy.prompt)
        marks = pair_marks(inputs.data.kind, judge.comparable, len(sample), len(rows))
        score = accuracy_score(result, marks, config.judge.withhold_above)
        score = score.model_copy(update=key.score_fields(config.model))
        write_results(run.folder, item_scores(result), [score])
        write_lines(run.folder / VERDICTS, [verdict_line(o) for o in result.items])
        return StageResult(
            counts={
                "pairs": len(sample),
                "agreed": result.agreed,
                "disagreed": result.disagreed,
                "ties": result.ties,
                "flips": result.flips,
                "unparsed": result.unparsed,
            },
            cost_usd=sum(outcome.cost_usd for outcome in result.items),
        )

    return Stage(
        id=f"{key.folder}/pair_accuracy",
        kind="judge",
        inputs={"pairs": pairs},
        settings={
            "judge": inputs.judge_id("pairs"),
            "limit": config.pair_accuracy.limit,
            **({} if prompt == "pair-v2" else {"prompt": prompt}),
            **({"reasoning_markers": markers} if markers else {}),
            "v": PROTOCOL_VERSION,
        },
        work=work,
        rescore=work,
        seed=key.seed,
        iteration=key.iteration,
        arm=key.arm,
    )


def draw_pairs(
    rows: Sequence[dict[str, Any]], limit: int | None, seed: int
) -> Sequence[dict[str, Any]]:
    """A seeded sample of the pairs, in file order."""
    if limit is None or limit >= len(rows):
        return rows
    ids = [row["id"] for row in rows]
    order = sorted(ids, key=str)
    drawn = set(random.Random(f"pairs:{seed}").sample(order, limit))
    return chosen(rows, [place for place, pair_id in enumerate(ids) if pair_id in drawn])


def item_scores(result: PairAccuracy) -> list[ItemScore]:
    """One line per pair; a pair without two usable verdicts is unparsed and has no value."""
    return [
        ItemScore(
            benchmark="pair_accuracy",
            item_id=outcome.item_id,
            values={} if outcome.score is None else {"accuracy": outcome.score},
            category=outcome.result,
            unparsed=outcome.score is None,
        )
        for outcome in result.items
    ]


def accuracy_score(result: PairAccuracy, marks: tuple[str, ...], withhold_above: float) -> Score:
    """The pair accuracy in percent; withheld where too many pairs have no usable verdict."""
    usable = result.accuracy is not None and result.withheld <= withhold_above
    return Score(
        benchmark="pair_accuracy",
        metric="accuracy",
        value=100 * result.accuracy if usable and result.accuracy is not None else None,
        stderr=100 * result.stderr if usable and result.stderr is not None else None,
        n=result.n,
        n_expected=len(result.items),
        n_unparsed=result.unparsed,
        protocol=f"pair_accuracy@{PROTOCOL_VERSION}/{result.protocol}",
        settings={
            "agreed": str(result.agreed),
            "disagreed": str(result.disagreed),
            "ties": str(result.ties),
            "flips": str(result.flips),
        },
        judge=result.judge,
        marks=marks,
        headline=True,
        info=INFO.of_score("accuracy", headline=True),
    )


def verdict_line(outcome: PairOutcome) -> str:
    """Both verdicts of a pair as one JSON line."""
    return json.dumps(
        {
            "item_id": outcome.item_id,
            "result": outcome.result,
            "verdicts": [json.loads(v.model_dump_json()) for v in outcome.verdicts],
        },
        ensure_ascii=False,
    )


def comparison(row: dict[str, Any]) -> Comparison:
    """A preference pair as the judge sees it: the whole conversation before it, chosen first, both
    answers without their reasoning sections."""
    prompt = row["prompt"]
    if str(row.get("kind", "")).startswith("generator"):  # its system turn is our own principle
        prompt = [turn for turn in prompt if turn.get("role") != "system"]
    return Comparison(
        item_id=str(row.get("id") or digest(row)),
        instruction=transcript(prompt),
        output_1=split_reasoning(row["chosen"]).answer,
        output_2=split_reasoning(row["rejected"]).answer,
    )


def pair_marks(data: str, comparable: bool, n: int, available: int) -> tuple[str, ...]:
    """Why a pair accuracy can't stand beside published ones."""
    marks = []
    if data == "sample":
        marks.append("sample-data")
    if n < available:
        marks.append("item-limit")
    if not comparable:
        marks.append("local-judge")
    return tuple(marks)
