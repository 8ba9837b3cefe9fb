"""Which failed items of a finished stage can end otherwise when they are asked again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.stages.errors import failed_items


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_only_errors_of_scoring_count(tmp_path: Path) -> None:
    assert failed_items(tmp_path) == 0
    errors = ["", "judge: error", "judge: refused", "the prompt is longer", "the grader died"]
    write(tmp_path / "items.jsonl", [{"item_id": str(k), "error": e} for k, e in enumerate(errors)])
    assert failed_items(tmp_path) == 3
    write(tmp_path / "outputs.jsonl", [{"item_id": "3", "error": "the prompt is longer"}])
    assert failed_items(tmp_path) == 2, "judge: error, the grader died"


def test_pairs_count_by_their_verdicts(tmp_path: Path) -> None:
    both = [("ok", "ok"), ("ok", "error"), ("unparsed", "ok"), ("refused", "error")]
    rows = [{"verdicts": [{"state": state} for state in states]} for states in both]
    write(tmp_path / "verdicts.jsonl", rows)
    assert failed_items(tmp_path) == 2
