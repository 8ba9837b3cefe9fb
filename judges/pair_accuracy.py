"""Pair accuracy: how often a judge prefers the side of a pair that its label says is better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from judges.base import Judge
from judges.errors import JudgeError
from judges.records import Comparison, Verdict
from judges.settings import PairPrompt

PairResult = Literal["agreed", "disagreed", "flip", "tie", "unparsed"]
TIE = 1.5


@dataclass(frozen=True)
class PairOutcome:
    """One pair: both verdicts (values about the outputs as given) and what they come to.

    ``agreed`` / ``disagreed``: the same side in both orders; ``flip``: the judge changed sides with
    the order; ``tie``: a tie in at least one order and no flip; ``unparsed``: no usable verdict in
    at least one order (of any unusable state).
    """

    item_id: str
    label: int
    result: PairResult
    verdicts: tuple[Verdict, Verdict]

    @property
    def score(self) -> float | None:
        """1 for agreed, 0 for the other usable results, ``None`` without usable verdicts."""
        return None if self.result == "unparsed" else float(self.result == "agreed")

    @property
    def cost_usd(self) -> float:
        """What the two verdicts cost."""
        return sum(verdict.cost_usd for verdict in self.verdicts)


@dataclass(frozen=True)
class PairAccuracy:
    """Share of pairs whose labelled side the judge prefers in both orders.

    ``accuracy`` = agreed / n over the ``n`` pairs with two usable verdicts (``None`` when n is 0);
    ties and flips count in n and are given apart. ``stderr`` is that of a proportion.
    """

    accuracy: float | None
    n: int
    agreed: int
    disagreed: int
    ties: int
    flips: int
    unparsed: int
    stderr: float | None
    items: tuple[PairOutcome, ...]
    judge: str
    protocol: str

    @property
    def withheld(self) -> float:
        """Share of pairs without two usable verdicts."""
        return self.unparsed / len(self.items) if self.items else 0.0


def pair_accuracy(
    judge: Judge,
    pairs: Sequence[Comparison],
    labels: Sequence[int],
    prompt: PairPrompt = "pair-v2",
) -> PairAccuracy:
    """Ask a judge about each pair in both orders and compare with the labels.

    Args:
        judge: who is asked (``judge.pairwise``).
        pairs: the pairs; ``item_id`` must be distinct.
        labels: 1 or 2 per pair, the output that counts as the better one.
        prompt: how the judge is asked.

    Raises:
        JudgeError: lengths differ, a label is neither 1 nor 2, an item id occurs twice.
    """
    if len(pairs) != len(labels):
        raise JudgeError(f"{len(pairs)} pairs but {len(labels)} labels")
    seen: set[str] = set()
    for pair, label in zip(pairs, labels, strict=True):
        if label not in (1, 2):
            raise JudgeError(f"pair {pair.item_id}: label {label!r} is neither 1 nor 2")
        if pair.item_id in seen:
            raise JudgeError(f"pair {pair.item_id} occurs twice")
        seen.add(pair.item_id)
    verdicts = (
        judge.pairwise(pairs) if prompt == "pair-v2" else judge.pairwise(pairs, prompt=prompt)
    )
    items = tuple(
        PairOutcome(pair.item_id, label, pair_result(both, label), both)
        for pair, label, both in zip(pairs, labels, verdicts, strict=True)
    )
    return summarize(items, judge.snapshot)


def pair_result(verdicts: tuple[Verdict, Verdict], label: int) -> PairResult:
    """What the two verdicts of a pair come to against its label."""
    first, second = (verdict.value for verdict in verdicts)
    if first is None or second is None:
        return "unparsed"
    sides = {_side(first), _side(second)}
    if sides == {1, 2}:
        return "flip"
    if 0 in sides:
        return "tie"
    return "agreed" if sides == {label} else "disagreed"


def summarize(items: Sequence[PairOutcome], judge: str) -> PairAccuracy:
    """Counts, accuracy and standard error of judged pairs."""
    counts = {
        result: sum(item.result == result for item in items)
        for result in ("agreed", "disagreed", "flip", "tie", "unparsed")
    }
    n = len(items) - counts["unparsed"]
    accuracy = counts["agreed"] / n if n else None
    stderr = math.sqrt(accuracy * (1 - accuracy) / n) if accuracy is not None else None
    return PairAccuracy(
        accuracy=accuracy,
        n=n,
        agreed=counts["agreed"],
        disagreed=counts["disagreed"],
        ties=counts["tie"],
        flips=counts["flip"],
        unparsed=counts["unparsed"],
        stderr=stderr,
        items=tuple(items),
        judge=judge,
        protocol=items[0].verdicts[0].protocol if items else "",
    )


def _side(value: float) -> int:
    """1 or 2 for the preferred output, 0 for a tie."""
    if value == TIE:
        return 0
    return 1 if value < TIE else 2
