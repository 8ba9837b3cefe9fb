"""Which record of the run answers to which of the baseline, and whether the two can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping

from groundwork.errors import UserError
from leaderboards.gate.baseline import Record, Side, stored_id
from leaderboards.gate.policy import GatePolicy
from leaderboards.items import Items, load_items
from leaderboards.score_frame import collapse

Pair = tuple[Record, Record | None]
"""A baseline record and the run's record of the same benchmark (None: not evaluated there)."""


def is_usable(record: Record | None) -> bool:
    """Whether there is a figure (a judge that fails too often leaves none)."""
    return record is not None and not math.isnan(record["value"])


def paired_records(before: Side, after: Side, policy: GatePolicy) -> list[Pair]:
    """Pairs of the same arm, iteration, benchmark and metric, for every usable baseline record.

    A baseline of one single checkpoint is compared with a run of one single checkpoint whatever the
    two are called. Otherwise checkpoints must agree.

    Raises:
        UserError: nothing can be compared, or a pair has two protocols or other items.
    """
    ours, theirs = _points(after), _points(before)
    rename = {next(iter(theirs)): next(iter(ours))} if len(ours) == len(theirs) == 1 else {}
    index = {(_point(r), r["benchmark"], r["metric"]): r for r in after.records}
    pairs: list[Pair] = []
    for record in before.records:
        point = rename.get(_point(record), _point(record))
        left_out = policy.only and record["benchmark"] not in policy.only
        if point not in ours or left_out or not is_usable(record):
            continue
        match = index.get((point, record["benchmark"], record["metric"]))
        pairs.append(({**record, "arm": point[0], "iteration": point[1]}, match))
    if not any(second for _, second in pairs):
        raise UserError(
            f"nothing to compare: the run has {_listing(after)}; {before.name} has {_listing(before)}"
        )
    for first, second in pairs:
        if second is not None:
            _same_protocol(first, second, before.name)
            if first["info"].kind != "pairs":  # every training draws pairs of its own
                _same_items(first, second, before)
    return pairs


def common_seeds(first: Record, second: Record | None) -> Pair:
    """The pair over the seeds that both sides have (a single one on the baseline's side, or none in
    common: as it is)."""
    mine, theirs = dict(first["parts"]), dict(second["parts"] if second else ())
    common = mine.keys() & theirs.keys()
    if second is None or len(mine) == 1 or not common:
        return first, second
    place = {"arm": first["arm"], "iteration": first["iteration"]}
    kept = [{seed: side[seed] for seed in sorted(common)} for side in (mine, theirs)]
    return {**collapse(kept[0]), **place}, collapse(kept[1])


def remarks_of(pairs: list[Pair], before: Side, after: Side, policy: GatePolicy) -> tuple[str, ...]:
    """What a reader should know: benchmarks that were not checked, and other seeds."""
    compared = {second["benchmark"] for _, second in pairs if second is not None}
    wanted = set(policy.only)
    left = {r["benchmark"] for r in after.records if is_usable(r)} - compared
    new = sorted(left & wanted if wanted else left)
    remarks = [f"Not in the baseline and not checked: {', '.join(new)}."] if new else []
    useless = [
        {r["benchmark"] for r in side.records if not is_usable(r)} for side in (before, after)
    ]
    if both := sorted(useless[0] & useless[1]):
        remarks.append(f"No usable figure on either side, not checked: {', '.join(both)}.")
    seeds = sorted({text for first, second in pairs if second and (text := _seeds(first, second))})
    return (*remarks, *seeds)


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


def _seeds(first: Record, second: Record) -> str:
    """A line where the two sides have other seeds; empty else."""
    mine, theirs = (sorted(dict(side["parts"])) for side in (first, second))
    if mine == theirs or len(mine) == 1:
        return ""
    common = [str(seed) for seed in mine if seed in theirs]
    how = f"compared on seeds {', '.join(common)}" if common else "compared unpaired"
    point = f"{first['arm']} {first['iteration']}"
    return f"{point}: the baseline has seeds {mine}, the run {theirs}; {how}."
