"""Wins, ties and losses of one checkpoint against another, benchmark by benchmark, with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leaderboards.compare import Comparison, ItemStore, compare_rows, item_outcomes
from leaderboards.identity import Arms
from leaderboards.layouts import Column, columns_of
from leaderboards.statistics.correction import holm

Record = dict[str, Any]
"""A row of ``over_seeds``."""
ALPHA = 0.05


@dataclass(frozen=True)
class Outcome:
    """One headline figure of a checkpoint against another's (``first``).

    ``wins``, ``ties`` and ``losses`` count the common items (over all seeds); ``p_value`` is
    corrected by Holm over the contest. ``change`` is +1 for a real gain, -1 for a real loss, 0 for
    neither.
    """

    column: Column
    first: Record
    second: Record
    test: Comparison
    p_value: float
    wins: int = 0
    ties: int = 0
    losses: int = 0

    @property
    def change(self) -> int:
        if self.p_value > ALPHA or not self.test.difference:
            return 0
        return 1 if self.test.difference > 0 else -1


@dataclass(frozen=True)
class Contest:
    """A checkpoint against another one over all benchmarks that both have."""

    title: str
    against: str
    outcomes: tuple[Outcome, ...]

    @property
    def verdict(self) -> str:
        """One sentence with numbers: better on which, worse on which, no change beyond noise."""
        if not self.outcomes:
            return f"{self.title} and {self.against} have no benchmark in common."
        better = [_shown(one) for one in self.outcomes if one.change > 0]
        worse = [_shown(one) for one in self.outcomes if one.change < 0]
        same = len(self.outcomes) - len(better) - len(worse)
        if not better and not worse:
            return (
                f"{self.title} can't be told from {self.against} on any of "
                f"{_benchmarks(len(self.outcomes))}: {_largest(self.outcomes)}."
            )
        parts = [f"better on {len(better)} ({'; '.join(better)})" if better else "better on none"]
        parts.append(f"worse on {len(worse)} ({'; '.join(worse)})" if worse else "worse on none")
        rest = f"no change beyond noise on {same}" if same else ""
        listed = ", ".join(filter(None, [*parts, rest]))
        return (
            f"{self.title} against {self.against} on {_benchmarks(len(self.outcomes))}: {listed}."
        )


def contest(
    title: str, against: str, pairs: Sequence[tuple[Record, Record]], store: ItemStore
) -> Contest:
    """The contest over pairs of records (the other's, the checkpoint's) of the same headline metric;
    pairs under two protocols, or without a figure, are left out."""
    found = [(a, b, compare_rows(a, b, store)) for a, b in pairs]
    tested = [(a, b, test) for a, b, test in found if test is not None]
    columns = columns_of(b for _, b, _ in tested)
    adjusted: Any = holm([test.p_value for _, _, test in tested]) if tested else []
    outcomes = [
        Outcome(columns[b["info"].column], a, b, test, float(p), *item_outcomes(a, b, store))
        for (a, b, test), p in zip(tested, adjusted, strict=True)
        if b["info"].column in columns
    ]
    places = {key: place for place, key in enumerate(columns)}
    return Contest(title, against, tuple(sorted(outcomes, key=lambda o: places[o.column.key])))


def final_contests(records: Sequence[Record], arms: Arms, store: ItemStore) -> list[Contest]:
    """Every arm's last iteration against the base of its group, on the headline benchmark figures."""
    usable = [r for r in records if is_headline(r) and r["info"].kind == "benchmark"]
    lines = dict.fromkeys((r["group"], r["arm"], r["loss"]) for r in usable if r["arm"] != "base")
    groups = {group for group, _, _ in lines}
    contests = []
    for line in sorted(lines, key=lambda one: (one[0], arms.info(one[1]).order, one[2])):
        mine = [r for r in usable if (r["group"], r["arm"], r["loss"]) == line]
        last = max(r["iteration"] for r in mine)
        base = {_metric(r): r for r in usable if (r["group"], r["arm"]) == (line[0], "base")}
        pairs = [
            (base[_metric(r)], r) for r in mine if r["iteration"] == last and _metric(r) in base
        ]
        loss = f" ({line[2].upper()})" if sum(one[:2] == line[:2] for one in lines) > 1 else ""
        name = f"{arms.title(line[1])}{loss} after {last} iteration{'s' if last > 1 else ''}"
        title = f"{line[0]}: {name}" if len(groups) > 1 else name
        contests.append(contest(title, "base", pairs, store))
    return contests


def is_headline(record: Record) -> bool:
    """Whether a record is the usable headline figure of a whole benchmark."""
    whole = record["headline"] and not record["category"]
    return bool(whole and record["value"] == record["value"])


def _metric(record: Record) -> tuple[str, str, str]:
    return record["benchmark"], record["metric"], record["protocol"]


def _benchmarks(count: int) -> str:
    return f"{count} benchmark{'s' if count != 1 else ''}"


def _shown(one: Outcome) -> str:
    digits = one.column.decimals
    before, after = one.first["value"], one.second["value"]
    error = f" ±{one.test.stderr:.{digits}f}" if one.test.stderr > 0 else ""
    return (
        f"{one.column.label} {before:.{digits}f} → {after:.{digits}f}, "
        f"{one.test.difference:+.{digits}f}{error}"
    )


def _largest(outcomes: Sequence[Outcome]) -> str:
    """The largest change in standard errors, as an example of what noise alone gives."""
    known = [o for o in outcomes if o.test.stderr > 0]
    if not known:
        return "no change at all"
    return (
        f"largest change {_shown(max(known, key=lambda o: abs(o.test.difference) / o.test.stderr))}"
    )
