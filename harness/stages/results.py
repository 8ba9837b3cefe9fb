"""The files that an evaluation leaves: item scores and scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from groundwork.files import write_json
from groundwork.records import write_records
from leaderboards.records import ItemScore, Score

ITEMS, VERDICTS = "items.jsonl", "verdicts.jsonl"


def write_results(folder: Path, items: Sequence[ItemScore], scores: Sequence[Score]) -> None:
    """Write ``items.jsonl`` and ``scores.json``, each atomically."""
    write_records(folder / ITEMS, items)
    write_json(folder / "scores.json", [json.loads(s.model_dump_json()) for s in scores])
