"""The stage that asks the judge whether the chosen side of the preference pairs is better."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from harness.config import RunConfig
from harness.plan import Source, Stage, StageOutcome, StageRun
from harness.store import digest, read_lines, write_lines
from judges import Comparison
from leaderboards.records import ItemScore, Score

PROTOCOL_VERSION = 1
MIN_PER_SIDE = 1


def pair_accuracy_stage(
    config: RunConfig,
    judge_id: str,
    *,
    stage_id: str,
    pairs: Source,
    inputs: dict[str, Source],
    arm: str,
    iteration: int,
    seed: int,
) -> Stage:
    """Accuracy of one iteration's pairs, on a seeded sample of ``pair_accuracy.limit`` of them."""

    def work(run: StageRun) -> StageOutcome:
        rows = read_lines(run.inputs["pairs"])
        sample = draw_pairs(rows, config.pair_accuracy.limit, seed)
        items, score = judge_pairs(run, sample, len(rows))
        score = score.model_copy(
            update={"arm": arm, "iteration": iteration, "seed": seed, "model": config.model}
        )
        write_results(run.folder, items, [score])
        spent = sum(item.values.get("cost_usd", 0.0) for item in items)
        return StageOutcome(counts={"pairs": len(sample)}, cost_usd=spent)

    return Stage(
        id=stage_id,
        kind="judge",
        inputs={"pairs": pairs, **inputs},
        settings={"judge": judge_id, "limit": config.pair_accuracy.limit, "v": PROTOCOL_VERSION},
        work=work,
        seed=seed,
        iteration=iteration,
        arm=arm,
    )


def draw_pairs(rows: list[dict[str, Any]], limit: int | None, seed: int) -> list[dict[str, Any]]:
    """A seeded sample of the pairs, in file order."""
    if limit is None or limit >= len(rows):
        return rows
    order = sorted(rows, key=lambda row: str(row["id"]))
    chosen = {row["id"] for row in random.Random(f"pairs:{seed}").sample(order, limit)}
    return [row for row in rows if row["id"] in chosen]


def judge_pairs(
    run: StageRun, rows: list[dict[str, Any]], available: int
) -> tuple[list[ItemScore], Score]:
    """Ask the judge about each pair in both orders; see ``judges.pair_accuracy``."""
    from judges import pair_accuracy

    judge = run.session.judge()
    comparisons = [comparison(row) for row in rows]
    result = pair_accuracy(judge, comparisons, [1] * len(comparisons))
    marks = pair_marks(run.session.data.kind, judge.comparable, len(rows), available)
    return list(result.items), result.score(marks=marks)


def comparison(row: dict[str, Any]) -> Comparison:
    """A preference pair as the judge sees it: the plain query, chosen first."""
    prompt = row["prompt"]
    if not isinstance(prompt, str):
        users = [turn["content"] for turn in prompt if turn.get("role") == "user"]
        prompt = users[-1] if users else ""
    return Comparison(
        item_id=str(row.get("id") or digest(row)),
        instruction=prompt,
        output_1=row["chosen"],
        output_2=row["rejected"],
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


def write_results(folder: Path, items: list[ItemScore], scores: list[Score]) -> None:
    """``items.jsonl`` and ``scores.json`` of an evaluation, atomically."""
    from harness.store import write_json

    write_lines(folder / "items.jsonl", [item.model_dump_json() for item in items])
    write_json(folder / "scores.json", [json.loads(s.model_dump_json()) for s in scores])
