"""What each stage of each arm costs: time, tokens, memory, dollars; and each arm against the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboards.runs import Run, stage_place

STEPS = ("principles", "sample", "generator", "pairs", "policy")
AGAINST = ("ultrafeedback", "pbaa")
HEAD = ("arm", "stage", "seconds", "tokens", "peak GB", "dollars", *(f"x {arm}" for arm in AGAINST))


@dataclass(frozen=True)
class Spent:
    """What a stage (or an arm as a whole) took."""

    arm: str
    stage: str
    seconds: float
    tokens: int
    memory_gb: float
    dollars: float


def spent_by_stage(run: Run) -> list[Spent]:
    """One line per arm and step, iterations summed; principles that a stage of their own wrote count for
    every arm that reads them. Evaluation is left out."""
    found: dict[tuple[str, str], Spent] = {}
    shared = [
        s
        for s in run.stages
        if str(s.get("stage", "")).rpartition("/")[2].startswith("principles-")
    ]
    arms = [arm for arm in run.arms if arm != "base"]
    for stage in run.stages:
        name = str(stage.get("stage", ""))
        place = stage_place(name)
        if place is None or stage.get("kind") not in ("sample", "train", "judge"):
            continue
        _add(found, place[0], name.rsplit("/", 1)[1], stage)
    writing = [arm for arm in arms if arm != "ultrafeedback"]
    for stage in shared:
        for arm in writing:
            _add(found, arm, "principles", stage)
    order = {name: i for i, name in enumerate((*STEPS, "pair_accuracy"))}
    return sorted(
        found.values(), key=lambda s: (arms.index(s.arm), order.get(s.stage, len(order)), s.stage)
    )


def _add(found: dict[tuple[str, str], Spent], arm: str, step: str, stage: object) -> None:
    record: dict[str, float] = stage  # type: ignore[assignment]
    old = found.get((arm, step), Spent(arm, step, 0.0, 0, 0.0, 0.0))
    found[arm, step] = Spent(
        arm,
        step,
        old.seconds + float(record.get("seconds") or 0),
        old.tokens + int(record.get("tokens") or 0),
        max(old.memory_gb, float(record.get("peak_memory_gb") or 0)),
        old.dollars + float(record.get("cost_usd") or 0),
    )


def totals(spent: Sequence[Spent]) -> dict[str, Spent]:
    """Each arm as a whole, without what the judge of its pairs took."""
    found: dict[str, Spent] = {}
    for part in spent:
        if part.stage == "pair_accuracy":
            continue
        old = found.get(part.arm, Spent(part.arm, "all", 0.0, 0, 0.0, 0.0))
        found[part.arm] = Spent(
            part.arm,
            "all",
            old.seconds + part.seconds,
            old.tokens + part.tokens,
            max(old.memory_gb, part.memory_gb),
            old.dollars + part.dollars,
        )
    return found


def overhead_rows(run: Run) -> list[tuple[str, ...]]:
    """The table as text, head first; an arm's total has its time over that of the arms of ``AGAINST``."""
    spent = spent_by_stage(run)
    whole = totals(spent)
    rows = [HEAD]
    for arm in dict.fromkeys(part.arm for part in spent):
        rows += [_row(part, ("", "")) for part in spent if part.arm == arm]
        if arm not in whole:
            continue
        ratios = [
            f"{whole[arm].seconds / whole[other].seconds:.2f}"
            if other in whole and whole[other].seconds
            else "-"
            for other in AGAINST
        ]
        rows.append(_row(whole[arm], ratios))
    return rows


def _row(part: Spent, ratios: Sequence[str]) -> tuple[str, ...]:
    return (
        part.arm,
        part.stage,
        f"{part.seconds:.1f}",
        str(part.tokens),
        f"{part.memory_gb:.2f}",
        f"{part.dollars:.2f}",
        *ratios,
    )
