"""How good a judge is: agreement with people, position and length bias, consistency, cost.

Each pair is judged in both orders. A judge's *decision* is the side that it prefers in both, and a
tie (0) where it calls a tie or changes sides with the order.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol

from judges.base import Judge
from judges.errors import JudgeError
from judges.pair_accuracy import pair_result
from judges.protocols.labelled import TIE, LabelledPair
from judges.records import Verdict
from judges.store import VerdictStore

Interval = tuple[float, float]
RESAMPLES = 1000


@dataclass(frozen=True)
class Agreement:
    """A judge on labelled pairs. Shares are in 0..1, intervals cover 95 %.

    accuracy: decisions equal to the majority label, ties as a third class; Wilson interval. Pairs
        without a majority or without two usable verdicts are left out (``unusable``).
    decided_accuracy: among pairs where both the majority and the judge named a side.
    with_humans, human_human: chance that the judge and one annotator, and two annotators, say the
        same of a pair; bootstrap over pairs. ``None`` with one label per pair.
    first_preferred: share of side-naming verdicts that name the output shown first (0.5: no bias).
    flips: share of pairs whose side changes with the order.
    longer_preferred, longer_preferred_by_humans: share of decided pairs (outputs of unequal length)
        in which the longer output wins.
    self_consistency: share of verdicts that are the same when asked once more.
    cost_per_1000: US dollars per 1000 verdicts.
    macro_precision, macro_recall, macro_f1: means over the classes (1, 2, tie) that occur in the
        majority labels or decisions, as scikit-learn's ``average="macro"``.
    kappa: Cohen's, between decisions and majority labels.
    right_by_order: share of the single verdicts that name the labelled side, outputs as given and
        swapped; a tie or an unusable verdict does not (LLMBar's accuracies, whose mean it prints).
    """

    judge: str
    protocol: str
    data: str
    n: int
    unusable: int
    accuracy: float | None
    accuracy_interval: Interval | None
    decided_accuracy: float | None
    decided_n: int
    with_humans: float | None
    with_humans_interval: Interval | None
    human_human: float | None
    human_human_interval: Interval | None
    first_preferred: float | None
    flips: float | None
    longer_preferred: float | None
    longer_preferred_by_humans: float | None
    self_consistency: float | None
    cost_per_1000: float | None
    macro_precision: float | None = None
    macro_recall: float | None = None
    macro_f1: float | None = None
    kappa: float | None = None
    right_by_order: tuple[float, float] | None = None

    def table(self) -> list[tuple[str, str]]:
        """Label and figure of each line of the table that is printed."""
        majority = f"{_share(self.accuracy)}{_interval(self.accuracy_interval)}"
        humans = f"{_share(self.with_humans)}{_interval(self.with_humans_interval)}"
        between = f"{_share(self.human_human)}{_interval(self.human_human_interval)}"
        macro = (self.macro_precision, self.macro_recall, self.macro_f1)
        return [
            ("judge", self.judge),
            ("protocol", self.protocol),
            ("data", f"{self.data}, {self.n} pairs, {self.unusable} unusable"),
            ("equals the majority label", majority),
            ("macro precision, recall, F1", " / ".join(map(_share, macro))),
            ("Cohen's kappa", "-" if self.kappa is None else f"{self.kappa:.3f}"),
            ("right in each order, mean", _orders(self.right_by_order)),
            ("same, both naming a side", f"{_share(self.decided_accuracy)} of {self.decided_n}"),
            ("agrees with one person", humans),
            ("two people agree", between),
            ("names the first shown", _share(self.first_preferred)),
            ("changes side with the order", _share(self.flips)),
            ("longer one wins", _share(self.longer_preferred)),
            ("longer one wins, people", _share(self.longer_preferred_by_humans)),
            ("same when asked again", _share(self.self_consistency)),
            ("US dollars per 1000 verdicts", _dollars(self.cost_per_1000)),
        ]


def measure_agreement(
    judge: Judge,
    pairs: Sequence[LabelledPair],
    *,
    data: str,
    again: Judge | None = None,
) -> Agreement:
    """Judge labelled pairs in both orders and compare with the labels.

    Args:
        judge: who is measured.
        pairs: labelled pairs, item ids distinct.
        data: the data set's name.
        again: the same judge asked afresh (``ServerJudge.afresh``), for self-consistency.

    Raises:
        JudgeError: no pairs.
    """
    if not pairs:
        raise JudgeError(f"{data}: no labelled pairs to judge")
    verdicts = judge.pairwise([pair.comparison for pair in pairs])
    repeats = again.pairwise([pair.comparison for pair in pairs]) if again else None
    return agreement_of(judge, pairs, verdicts, data=data, repeats=repeats)


class Named(Protocol):
    """What the figures need of a judge: its exact name."""

    @property
    def snapshot(self) -> str:
        """Its exact name."""


def agreement_of(
    judge: Named,
    pairs: Sequence[LabelledPair],
    verdicts: Sequence[tuple[Verdict, Verdict]],
    *,
    data: str,
    repeats: Sequence[tuple[Verdict, Verdict]] | None = None,
) -> Agreement:
    """The figures from verdicts that are already there (both orders of each pair)."""
    decided = [decision(both) for both in verdicts]
    usable = [
        (pair, made, pair.majority)
        for pair, made in zip(pairs, decided, strict=True)
        if made is not None and pair.majority is not None
    ]
    right = sum(made == majority for _, made, majority in usable)
    sides = [(p, made, m) for p, made, m in usable if TIE not in (made, m)]
    several = any(len(pair.labels) > 1 for pair in pairs)
    judged = [(p.labels, d) for p, d in zip(pairs, decided, strict=True) if d is not None]
    with_humans = [sum(label == d for label in labels) / len(labels) for labels, d in judged]
    between = [_between(pair.labels) for pair in pairs if len(pair.labels) > 1]
    flat = [verdict for both in verdicts for verdict in both]
    flips = [pair_result(both, 1) for both in verdicts]
    read = [result for result in flips if result != "unparsed"]
    return Agreement(
        judge=judge.snapshot,
        protocol=flat[0].protocol if flat else "",
        data=data,
        n=len(usable),
        unusable=len(pairs) - len(usable),
        accuracy=right / len(usable) if usable else None,
        accuracy_interval=wilson(right, len(usable)) if usable else None,
        decided_accuracy=_mean([float(made == m) for _, made, m in sides]),
        decided_n=len(sides),
        with_humans=_mean(with_humans) if several else None,
        with_humans_interval=bootstrap(with_humans) if several else None,
        human_human=_mean(between),
        human_human_interval=bootstrap(between),
        first_preferred=_first_preferred(flat),
        flips=read.count("flip") / len(read) if read else None,
        longer_preferred=_longer([(p, d) for p, d in zip(pairs, decided, strict=True)]),
        longer_preferred_by_humans=_longer([(p, p.majority) for p in pairs]),
        self_consistency=None if repeats is None else _consistency(verdicts, repeats),
        cost_per_1000=_cost_per_1000(judge, flat),
        right_by_order=_right_by_order(pairs, verdicts),
        **_macro([(majority, made) for _, made, majority in usable]),
    )


def _right_by_order(
    pairs: Sequence[LabelledPair], verdicts: Sequence[tuple[Verdict, Verdict]]
) -> tuple[float, float] | None:
    sided = [(p.majority, b) for p, b in zip(pairs, verdicts, strict=True) if p.majority in (1, 2)]
    if not sided:
        return None
    first, second = (sum(b[k].value == label for label, b in sided) / len(sided) for k in (0, 1))
    return first, second


def _orders(shares: tuple[float, float] | None) -> str:
    if shares is None:
        return "-"
    return f"{_share(shares[0])} / {_share(shares[1])}, {_share(sum(shares) / 2)}"


def decision(verdicts: tuple[Verdict, Verdict]) -> int | None:
    """1 or 2 where both orders name that side, 0 for ties and flips, ``None`` if unusable."""
    result = pair_result(verdicts, 1)
    if result == "unparsed":
        return None
    return {"agreed": 1, "disagreed": 2}.get(result, TIE)


def wilson(successes: int, n: int, z: float = 1.959964) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    share, square = successes / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: Sequence[float], seed: int = 0) -> Interval | None:
    """Percentile interval of the mean over resampled pairs; ``None`` without values."""
    if not values:
        return None
    rng, n = random.Random(seed), len(values)
    means = sorted(sum(rng.choices(values, k=n)) / n for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]


def remember_agreement(store: VerdictStore, agreement: Agreement) -> None:
    """Keep a measured agreement, so that tables and reports can cite it."""
    known = store.fact(f"agreement:{agreement.judge}") or {}
    known[agreement.data] = dataclasses.asdict(agreement)
    store.set_fact(f"agreement:{agreement.judge}", known)


def remembered_agreements(store: VerdictStore, judge: str) -> list[Agreement]:
    """What was measured of a judge (its snapshot's name), by data set."""
    known: dict[str, dict[str, Any]] = store.fact(f"agreement:{judge}") or {}
    return [_restored(known[data]) for data in sorted(known)]


def _restored(fields: dict[str, Any]) -> Agreement:
    """An agreement from its stored fields (JSON turned its intervals into lists)."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return Agreement(**values)


def _macro(pairs: Sequence[tuple[int, int]]) -> dict[str, float | None]:
    """Macro precision, recall and F1, and Cohen's kappa, of (label, decision) pairs."""
    classes = sorted({value for pair in pairs for value in pair})
    rows = []
    chance = 0.0
    for name in classes:
        labelled = sum(label == name for label, _ in pairs)
        made = sum(decision == name for _, decision in pairs)
        right = sum(label == decision == name for label, decision in pairs)
        precision, recall = right / made if made else 0.0, right / labelled if labelled else 0.0
        both = precision + recall
        rows.append((precision, recall, 2 * precision * recall / both if both else 0.0))
        chance += labelled * made / len(pairs) ** 2
    observed = sum(label == made for label, made in pairs) / len(pairs) if pairs else 0.0
    names = ("macro_precision", "macro_recall", "macro_f1")
    means = [_mean([row[i] for row in rows]) for i in range(3)]
    kappa = (observed - chance) / (1 - chance) if pairs and chance < 1 else None
    return {**dict(zip(names, means, strict=True)), "kappa": kappa}


def _between(labels: Sequence[int]) -> float:
    pairs = list(combinations(labels, 2))
    return sum(a == b for a, b in pairs) / len(pairs)


def _first_preferred(verdicts: Sequence[Verdict]) -> float | None:
    shown = [
        (3 - v.value if v.swapped else v.value)
        for v in verdicts
        if v.value is not None and v.value != 1.5
    ]
    return _mean([float(value < 1.5) for value in shown])


def _longer(decisions: Sequence[tuple[LabelledPair, int | None]]) -> float | None:
    found = []
    for pair, made in decisions:
        lengths = (len(pair.comparison.output_1), len(pair.comparison.output_2))
        if made in (1, 2) and lengths[0] != lengths[1]:
            found.append(float(made == 1 + (lengths[1] > lengths[0])))
    return _mean(found)


def _consistency(
    verdicts: Sequence[tuple[Verdict, Verdict]], repeats: Sequence[tuple[Verdict, Verdict]]
) -> float | None:
    same = [
        float(a.value == b.value)
        for first, second in zip(verdicts, repeats, strict=True)
        for a, b in zip(first, second, strict=True)
        if a.value is not None and b.value is not None
    ]
    return _mean(same)


def _cost_per_1000(judge: Named, verdicts: Sequence[Verdict]) -> float | None:
    """From tokens and price, whether a verdict was paid for now or before."""
    price_of = getattr(judge, "price_of", None)
    if price_of is None or not verdicts:
        return None
    costs = [price_of(verdict) for verdict in verdicts]
    if any(cost is None for cost in costs):
        return None
    return 1000 * math.fsum(costs) / len(costs)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _interval(value: Interval | None) -> str:
    return "" if value is None else f" ({100 * value[0]:.1f} to {100 * value[1]:.1f})"


def _dollars(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
