"""Item scores of an evaluation folder as arrays, read fast enough for a million lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from groundwork.checksums import check_output
from leaderboards.runs import read_items

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Items:
    """One evaluation's items: ids, cluster labels ("" where an item stands alone), values.

    ``values`` maps a metric to an array in item order, nan where an item has no value.
    """

    ids: Any
    clusters: Any
    values: dict[str, Floats]

    def metric(self, metric: str, others: Sequence[str] = ()) -> str | None:
        """The item metric behind a score's ``metric``: itself, else one of ``others``, else None."""
        return next((name for name in (metric, *others) if name in self.values), None)


def load_items(folder: Path | str) -> Items | None:
    """``items.jsonl`` of ``folder`` as arrays; None when there is none.

    Raises:
        UserError: a record that is not an ItemScore, or a value that is not a finite number; names
            file and line.
    """
    path = Path(folder) / "items.jsonl"
    if not path.is_file():
        return None
    check_output(path)
    items = _fast(path)
    return _checked(path.parent) if items is None else items


def _fast(path: Path) -> Items | None:
    """Read with Arrow; None when the file is not as regular as that needs."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    schema = pa.schema([("item_id", pa.string()), ("cluster", pa.string()), ("v", pa.int64())])
    parse = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer")
    size = max(path.stat().st_size + 1, 1 << 16)
    if size > 1 << 30:
        return None
    try:
        read = arrow_json.ReadOptions(use_threads=True, block_size=size)
        table = arrow_json.read_json(path, read_options=read, parse_options=parse)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return _from_table(table)


def _from_table(table: pa.Table) -> Items | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if "values" not in table.column_names or "item_id" not in table.column_names:
        return None
    versions = table["v"] if "v" in table.column_names else pa.chunked_array([[1]])
    column = table["values"].combine_chunks()
    if not pa.types.is_struct(column.type) or (pc.max(versions).as_py() or 1) > 1:
        return None
    values = {}
    for field in column.type:
        numbers = pc.struct_field(column, field.name)
        if not (pa.types.is_floating(numbers.type) or pa.types.is_integer(numbers.type)):
            return None
        if not pc.all(pc.is_finite(numbers.cast(pa.float64())), min_count=0).as_py():
            return None
        values[field.name] = numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)
    clusters = pc.fill_null(table["cluster"], "").combine_chunks()
    ids = table["item_id"].combine_chunks()
    return None if ids.null_count else Items(ids, clusters, values)


def _checked(folder: Path) -> Items:
    """Read record by record, so that a fault is reported with its line."""
    import pyarrow as pa

    records = read_items(folder)
    metrics = sorted({name for record in records for name in record.values})
    values = {
        name: np.array([record.values.get(name, np.nan) for record in records]) for name in metrics
    }
    ids = pa.array([record.item_id for record in records], pa.string())
    return Items(ids, pa.array([record.cluster for record in records], pa.string()), values)


@dataclass(frozen=True)
class Matched:
    """Values of two evaluations on their common items, with cluster labels (None: no clusters)."""

    first: Floats
    second: Floats
    clusters: Floats | None


def match(first: Items, second: Items, metric_first: str, metric_second: str) -> Matched:
    """Pair two evaluations by item id (items with a value on both sides only).

    Items of one cluster share a label; an item without a cluster label is its own cluster.
    """
    a, b = first.values[metric_first], second.values[metric_second]
    clusters = first.clusters
    if not first.ids.equals(second.ids):
        left, right = _common(first, second)
        a, b, clusters = a[left], b[right], clusters.take(left)
    usable = ~(np.isnan(a) | np.isnan(b))
    labels = _labels(clusters)
    return Matched(a[usable], b[usable], None if labels is None else labels[usable])


def _common(first: Items, second: Items) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    import pandas as pd

    index = pd.Index(first.ids.to_pandas())
    positions = index.get_indexer(pd.Index(second.ids.to_pandas()))
    right = np.flatnonzero(positions >= 0)
    return positions[right], right


def _labels(clusters: Any) -> Floats | None:
    """Numbers for cluster labels; None when no item has one."""
    import pyarrow.compute as pc

    if not pc.any(pc.not_equal(clusters, "")).as_py():
        return None
    codes = clusters.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(float)
    alone = pc.equal(clusters, "").to_numpy(zero_copy_only=False)
    codes[alone] = -1 - np.flatnonzero(alone)
    return np.asarray(codes, dtype=float)
