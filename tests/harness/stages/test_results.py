"""Scores and item scores on disk."""

from __future__ import annotations

import json
from pathlib import Path

from groundwork.records import read_records
from harness.stages.results import write_results
from leaderboards.records import ItemScore, Score


def test_items_and_scores_come_back_as_they_were(tmp_path: Path) -> None:
    items = [ItemScore(benchmark="b", item_id="ü\u2028", values={"m": 0.5}, reasoning="closed")]
    scores = [Score(benchmark="b", metric="m", value=50.0, n=1, n_expected=2, protocol="p")]
    write_results(tmp_path, items, scores)
    assert read_records(tmp_path / "items.jsonl", ItemScore) == items
    read = json.loads((tmp_path / "scores.json").read_text())
    assert [Score.model_validate(row) for row in read] == scores
    assert sorted(p.name for p in tmp_path.iterdir()) == ["items.jsonl", "scores.json"]
