"""Compares a run with a baseline and gathers the verdict of the gate."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from groundwork.errors import UserError
from leaderboards.compare import Comparison, ItemStore, compare_rows
from leaderboards.gate.baseline import (
    Record,
    Side,
    checkpoints,
    headline_records,
    load_baseline,
    parse_baseline,
    stored_id,
)
from leaderboards.gate.decide import OTHER_EFFECT, Decision, Status, decide
from leaderboards.items import Items, load_items
from leaderboards.score_frame import collapse
from leaderboards.statistics.power import detectable_difference

EXIT_CODES: dict[Status, int] = {"pass": 0, "fail": 1, "cannot tell": 3}


@dataclass(frozen=True)
class GateCheck:
    """The verdict on one benchmark of one checkpoint; figures in the benchmark's own unit.

    ``p_worse`` is the corrected one-sided p-value of a loss, ``largest_loss`` what the one-sided
    95 % bound leaves possible, ``detectable`` the smallest difference found with 80 % power.
    """

    benchmark: str
    metric: str
    arm: str
    iteration: int
    status: Status
    reason: str
    before: float | None
    after: float | None
    difference: float | None
    stderr: float | None
    p_worse: float
    largest_loss: float | None
    minimum_effect: float
    detectable: float | None
    n: int
    method: str


@dataclass(frozen=True)
class GateResult:
    """The verdict of the whole: fail if any benchmark fails, pass if all pass, else cannot tell."""

    run: str
    baseline: str
    checks: tuple[GateCheck, ...]
    inconclusive: Literal["report", "pass", "fail"] = "report"
    remarks: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        found = {check.status for check in self.checks}
        if "fail" in found:
            return "fail"
        return "cannot tell" if "cannot tell" in found else "pass"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 cannot tell (0 or 1 where ``inconclusive`` says so)."""
        if self.status == "cannot tell" and self.inconclusive != "report":
            return EXIT_CODES[self.inconclusive]
        return EXIT_CODES[self.status]

    def to_json(self) -> str:
        """Everything as JSON."""
        head = {"schema": 1, "status": self.status, "exit_code": self.exit_code, "run": self.run}
        rest = {"baseline": self.baseline, "remarks": self.remarks}
        checks = [asdict(check) for check in self.checks]
        return json.dumps({**head, **rest, "checks": checks}, indent=2, default=str) + "\n"


def check(
    run: Path | str,
    baseline: Path | str,
    *,
    arm: str | None = None,
    iteration: int | None = None,
    minimum_effects: Mapping[str, float] | None = None,
    benchmarks: Iterable[str] = (),
    inconclusive: Literal["report", "pass", "fail"] = "report",
    alpha: float = 0.05,
    history: str | None = None,
) -> GateResult:
    """Check ``run`` against ``baseline``: a run folder, a baseline file, or ``history:BRANCH``.

    The last iteration of every arm is checked (``arm`` and ``iteration`` choose another one), on
    the benchmarks that both have (or those named). ``minimum_effects`` overrides the smallest loss
    that matters, by benchmark. ``history`` is the history's file or URL.

    Raises UserError (exit code 2) when a side can't be read, when protocols or items differ
    (it names which), or when nothing can be compared.
    """
    after = Side(str(run), tuple(checkpoints(headline_records([run]), arm, iteration)), {})
    before = _baseline(baseline, history)
    wanted = frozenset(benchmarks)
    _known_names(before, after, [*wanted, *(minimum_effects or {})], alpha)
    pairs = _pairs(before, after, wanted)
    remarks = _remarks(pairs, after, wanted)
    pairs = [_common_seeds(*pair) for pair in pairs]
    for first, second in pairs:
        if second is not None:
            _same_protocol(first, second, before.name)
            _same_items(first, second, before)
    store = ItemStore(before.items)
    found = [compare_rows(first, second, store) if second else None for first, second in pairs]
    effects = [_effect(*pair, minimum_effects or {}) for pair in pairs]
    decisions = decide(found, effects, alpha)
    checks = tuple(map(_check, pairs, found, effects, decisions))
    return GateResult(after.name, before.name, checks, inconclusive, remarks)


Pair = tuple[Record, Record | None]
"""A baseline record and the run's record of the same benchmark (None: not evaluated yet)."""


def _baseline(baseline: Path | str, history: str | None) -> Side:
    text = str(baseline)
    if text.startswith("history:"):
        from leaderboards.history import DEFAULT_URL, History

        branch = text.removeprefix("history:")
        with History(history or DEFAULT_URL, only_read=True) as kept:
            return parse_baseline(kept.baseline(branch), text)
    path = Path(baseline)
    if path.is_file():
        return load_baseline(path)
    if not path.exists():
        raise UserError(f"no such baseline (a run folder or a file): {path}")
    return Side(text, tuple(headline_records([path])), {})


def _pairs(before: Side, after: Side, wanted: frozenset[str]) -> list[Pair]:
    """Pair records of the same arm, iteration, benchmark and metric.

    A baseline of one single checkpoint is compared with a run of one single checkpoint whatever the
    two are called. Otherwise checkpoints must agree.
    """
    ours, theirs = _points(after), _points(before)
    rename = {next(iter(theirs)): next(iter(ours))} if len(ours) == len(theirs) == 1 else {}
    index = {(_point(r), r["benchmark"], r["metric"]): r for r in after.records}
    pairs: list[Pair] = []
    for record in before.records:
        point = rename.get(_point(record), _point(record))
        if point not in ours or (wanted and record["benchmark"] not in wanted):
            continue
        match = index.get((point, record["benchmark"], record["metric"]))
        pairs.append(({**record, "arm": point[0], "iteration": point[1]}, match))
    if not any(second for _, second in pairs):
        raise UserError(
            f"nothing to compare: the run has {_listing(after)}; {before.name} has {_listing(before)}"
        )
    return pairs


def _point(record: Record) -> tuple[str, int]:
    return record["arm"], record["iteration"]


def _points(side: Side) -> set[tuple[str, int]]:
    return {_point(record) for record in side.records}


def _listing(side: Side) -> str:
    points = sorted({f"{r['arm']} {r['iteration']} {r['benchmark']}" for r in side.records})
    return ", ".join(points[:4]) + (f" and {len(points) - 4} more" if len(points) > 4 else "")


def _same_protocol(first: Record, second: Record, name: str) -> None:
    if first["protocol"] != second["protocol"]:
        raise UserError(
            f"{first['benchmark']}: the run's protocol is {second['protocol']}, the baseline's is "
            f"{first['protocol']} ({name}); evaluate both alike or save a new baseline"
        )


def _same_items(first: Record, second: Record, before: Side) -> None:
    """Both sides must have answered the same items, seed by seed."""
    ours = dict(second["parts"])
    for seed, part in first["parts"]:
        other = ours.get(seed) or (second["parts"][0][1] if len(ours) == 1 else None)
        if other is not None:
            _same_ids(first["benchmark"], _items(part, before.items), _items(other, {}))


def _same_ids(benchmark: str, mine: Items | None, theirs: Items | None) -> None:
    if mine is None or theirs is None:
        return
    left = {stored_id(item) for item in mine.ids.to_pylist()}
    right = {stored_id(item) for item in theirs.ids.to_pylist()}
    if left != right:
        only = sorted(left ^ right)
        where = "only in the baseline" if only[0] in left else "only in the run"
        raise UserError(
            f"{benchmark}: the run and the baseline have other items "
            f"({len(left)} against {len(right)}, {len(only)} differ; {only[0]} is {where}); "
            "use the same data, limit and item seed, or save a new baseline"
        )


def _items(part: Record, known: Mapping[str, Items]) -> Items | None:
    folder = part["folder"]
    return known.get(folder) or (load_items(folder) if folder and folder not in known else None)


def _effect(first: Record, second: Record | None, overrides: Mapping[str, float]) -> float:
    """The smallest loss that matters: as given, else as the run's benchmark states it."""
    record = second or first
    if record["benchmark"] in overrides:
        return overrides[record["benchmark"]]
    stated = record["info"].minimum_effect
    return OTHER_EFFECT[record["unit"]] if stated is None else float(stated)


def _check(pair: Pair, found: Comparison | None, effect: float, decision: Decision) -> GateCheck:
    first, second = pair
    known = found is not None and math.isfinite(found.stderr)
    reason = decision.reason if second is not None else "not evaluated in this run"
    return GateCheck(
        benchmark=first["benchmark"],
        metric=first["metric"],
        arm=first["arm"],
        iteration=first["iteration"],
        status=decision.status,
        reason=reason,
        before=first["value"],
        after=second["value"] if second else None,
        difference=found.difference if found else None,
        stderr=found.stderr if found and known else None,
        p_worse=decision.p_worse,
        largest_loss=decision.largest_loss if math.isfinite(decision.largest_loss) else None,
        minimum_effect=effect,
        detectable=detectable_difference(found.stderr) if found and known else None,
        n=found.n if found else 0,
        method=found.method if found else "",
    )


def _known_names(before: Side, after: Side, names: Iterable[str], alpha: float) -> None:
    known = sorted({record["benchmark"] for side in (before, after) for record in side.records})
    for name in names:
        if name not in known:
            raise UserError(
                f"no benchmark {name!r} in the run or the baseline; they have {', '.join(known)}"
            )
    if not 0 < alpha < 0.5:
        raise UserError(f"alpha is an error rate between 0 and 0.5, not {alpha:g}")


def _common_seeds(first: Record, second: Record | None) -> Pair:
    """The pair over the seeds that both sides have (a single one on the baseline's side, or none in
    common: as it is)."""
    mine, theirs = dict(first["parts"]), dict(second["parts"] if second else ())
    common = mine.keys() & theirs.keys()
    if second is None or len(mine) == 1 or not common:
        return first, second
    place = {"arm": first["arm"], "iteration": first["iteration"]}
    kept = [{seed: side[seed] for seed in sorted(common)} for side in (mine, theirs)]
    return {**collapse(kept[0]), **place}, collapse(kept[1])


def _remarks(pairs: list[Pair], after: Side, wanted: frozenset[str]) -> tuple[str, ...]:
    compared = {id(second) for _, second in pairs if second is not None}
    left = {r["benchmark"] for r in after.records if id(r) not in compared}
    new = sorted(left & wanted if wanted else left)
    remarks = [f"Not in the baseline and not checked: {', '.join(new)}."] if new else []
    seeds = sorted({text for first, second in pairs if second and (text := _seeds(first, second))})
    return (*remarks, *seeds)


def _seeds(first: Record, second: Record) -> str:
    """That the two sides have other seeds, where they have; empty else."""
    mine, theirs = (sorted(dict(side["parts"])) for side in (first, second))
    if mine == theirs or len(mine) == 1:
        return ""
    common = [str(seed) for seed in mine if seed in theirs]
    told = f"compared on seeds {', '.join(common)}" if common else "compared unpaired"
    point = f"{first['arm']} {first['iteration']}"
    return f"{point}: the baseline has seeds {mine}, the run {theirs}; {told}."
