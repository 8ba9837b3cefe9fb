"""The baseline file: one checkpoint's scores with per-item results, small enough to commit.

It holds item ids, values and cluster labels, and no text of any item. Ids that could be text (long
ones, or with spaces) are stored as hashes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundwork.errors import UserError
from groundwork.files import write_atomic
from leaderboards.benchmark_info import ScoreInfo
from leaderboards.items import Items, load_items
from leaderboards.legacy_info import arm_info, score_info
from leaderboards.runs import read_json
from leaderboards.score_frame import load_runs, over_seeds

SCHEMA = 1
KIND = "sso-bench baseline"
_PLAIN = re.compile(r"[\w.:/#-]{1,64}")
_KEPT = (
    "run", "model", "arm", "loss", "setting", "iteration", "seed", "benchmark", "metric", "value",
    "stderr", "unit", "n", "n_expected", "n_truncated", "n_unparsed", "n_error", "n_missing",
    "protocol", "judge", "data", "marks",
)  # fmt: skip

Record = dict[str, Any]
"""A row of ``over_seeds``."""


@dataclass(frozen=True)
class Side:
    """One side of a check: its records, and items that don't lie in run folders."""

    name: str
    records: tuple[Record, ...]
    items: Mapping[str, Items]


def stored_id(item_id: str) -> str:
    """An item id as a baseline stores it: itself, or a hash where it could be text."""
    if _PLAIN.fullmatch(item_id):
        return item_id
    return "#" + hashlib.sha256(item_id.encode()).hexdigest()[:16]


def headline_records(runs: Sequence[Path | str]) -> list[Record]:
    """The headline figures of all checkpoints of the runs, seeds collapsed (nan: withheld)."""
    frame = load_runs(runs)
    return over_seeds(frame[frame["headline"] & (frame["category"].fillna("") == "")])


def save_baseline(
    run: Path | str, path: Path, *, arm: str | None = None, iteration: int | None = None
) -> Path:
    """Write the baseline of a run to ``path`` (JSON, one line per benchmark and seed).

    Without ``arm`` and ``iteration`` every arm's last iteration is kept (base, where it is all there
    is, as after ``eval``).

    Raises:
        UserError: the run has no such checkpoint, or no usable figure.
    """
    content = baseline_text(run, arm=arm, iteration=iteration)
    write_atomic(path, content)
    return path


def baseline_text(run: Path | str, *, arm: str | None = None, iteration: int | None = None) -> str:
    """The content of a baseline file."""
    records = checkpoints(headline_records([run]), arm, iteration)
    records = [record for record in records if not math.isnan(record["value"])]
    if not records:
        raise UserError(f"no usable figure to keep as a baseline in {run}")
    lines = [json.dumps(_entry(part)) for record in records for _, part in record["parts"]]
    head = {"kind": KIND, "schema": SCHEMA, "run": records[0]["run"], "model": records[0]["model"]}
    body = ",\n".join(lines)
    return json.dumps(head)[:-1] + f', "scores": [\n{body}\n]}}\n'


def checkpoints(records: list[Record], arm: str | None, iteration: int | None) -> list[Record]:
    """The records of one arm and iteration, or of every arm's last iteration.

    ``base`` counts as an arm only where there is no other, as after ``eval``.
    """
    last: dict[str, int] = {}
    for record in records:
        last[record["arm"]] = max(last.get(record["arm"], 0), record["iteration"])
    trained = len(last) > 1
    chosen = [
        record
        for record in records
        if (record["arm"] == arm if arm is not None else not (trained and record["arm"] == "base"))
        and record["iteration"] == (last[record["arm"]] if iteration is None else iteration)
    ]
    if not chosen:
        wanted = " ".join(str(part) for part in (arm, iteration) if part is not None)
        known = ", ".join(f"{name} up to {step}" for name, step in last.items()) or "nothing scored"
        raise UserError(f"the run has no checkpoint {wanted}; it has {known}")
    return chosen


def load_baseline(path: Path) -> Side:
    """Read a baseline file."""
    return parse_baseline(read_json(path, "the baseline"), str(path))


def parse_baseline(content: Any, name: str) -> Side:
    """A baseline from its parsed JSON; ``name`` is how messages call it."""
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise UserError(f"not a baseline file: {name}; make one with: sso-bench baseline save")
    if content.get("schema", SCHEMA) > SCHEMA:
        raise UserError(
            f"{name} has schema {content['schema']}; this release reads up to {SCHEMA}: upgrade"
        )
    parts: dict[tuple[Any, ...], list[Record]] = {}
    items: dict[str, Items] = {}
    for number, entry in enumerate(content.get("scores", []), 1):
        try:
            record = _record(entry, f"{name}#{number}", items)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{name}: score {number} is damaged ({error!r})") from None
        key = tuple(
            record[field] for field in ("arm", "iteration", "benchmark", "metric", "protocol")
        )
        parts.setdefault(key, []).append(record)
    if not parts:
        raise UserError(f"the baseline holds no scores: {name}")
    frame = _frame([record for group in parts.values() for record in group])
    return Side(name, tuple(over_seeds(frame)), items)


def _frame(records: list[Record]) -> Any:
    from leaderboards.score_frame import to_frame

    return to_frame(records)


def _entry(part: Record) -> Record:
    entry = {name: _plain(part[name]) for name in _KEPT}
    entry["info"] = part["info"].model_dump(exclude_defaults=True)
    items = load_items(part["folder"]) if part["folder"] else None
    if items is None:
        return entry
    ids = [stored_id(item) for item in items.ids.to_pylist()]
    clusters = [stored_id(item) if item else "" for item in items.clusters.to_pylist()]
    entry["ids"] = ids
    if any(clusters):
        entry["clusters"] = clusters
    name = items.metric(part["metric"], part["info"].item_metrics)
    if name is None and len(items.values) == 1:
        name = next(iter(items.values))
    if name is not None:
        entry["item_metric"] = name
        entry["values"] = _pack(items.values[name])
    return entry


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _pack(values: Any) -> str | list[float | None]:
    """0/1 values as a string of digits ('-' for none), others as numbers of nine decimals."""
    known = values[~np.isnan(values)]
    if np.all((known == 0) | (known == 1)):
        return "".join("-" if math.isnan(value) else str(int(value)) for value in values)
    return [None if math.isnan(value) else round(float(value), 9) for value in values]


def _unpack(values: str | list[float | None]) -> Any:
    if isinstance(values, str):
        return np.array([math.nan if digit == "-" else float(int(digit)) for digit in values])
    return np.array([math.nan if value is None else float(value) for value in values])


def _record(entry: Record, key: str, items: dict[str, Items]) -> Record:
    import pyarrow as pa

    record = {name: entry[name] for name in _KEPT}
    if not isinstance(record["value"], int | float) or not math.isfinite(record["value"]):
        raise ValueError(f"value {record['value']} is no number")
    record.update(
        source="run", category="", headline=True, digits=-1, folder="", notes=(),
        group=record["model"] or record["run"], arm_info=arm_info(record["arm"]), preset="",
        info=ScoreInfo.model_validate(entry["info"])
        if "info" in entry
        else score_info(record["benchmark"], record["metric"], headline=True),
    )  # fmt: skip
    if "values" in entry:
        values, ids = _unpack(entry["values"]), entry["ids"]
        if len(values) != len(ids):
            raise ValueError(f"{len(ids)} items but {len(values)} values")
        clusters = entry.get("clusters") or [""] * len(ids)
        items[key] = Items(
            pa.array(ids, pa.string()),
            pa.array(clusters, pa.string()),
            {entry["item_metric"]: values},
        )
        record["folder"] = key
    return record
