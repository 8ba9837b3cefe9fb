"""Which of several judgments of one answer counts, and which files are judgments at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.benchmarks.saved_judgments import Duplicates, score_judgments, settle
from harness.data import open_source

Row = tuple[str, int | None]


def settled(rows: list[Row], rule: Duplicates) -> list[Row]:
    return settle(rows, lambda r: r[0], lambda r: r[1] is not None, rule, lambda r: f"row {r}")


def test_a_failed_judgment_is_replaced_by_a_later_one_and_never_replaces_one() -> None:
    rows: list[Row] = [("a", None), ("b", 1), ("a", 2), ("b", None), ("c", None)]
    for rule in ("refuse", "last", "all"):
        assert sorted(settled(rows, rule), key=str) == [("a", 2), ("b", 1), ("c", None)]


def test_two_usable_judgments_are_refused_unless_a_rule_is_chosen() -> None:
    rows: list[Row] = [("a", 1), ("a", 2)]
    with pytest.raises(
        UserError, match=r"row \('a', 2\) is judged twice \(--duplicates last or all"
    ):
        settled(rows, "refuse")
    assert settled(rows, "last") == [("a", 2)]
    assert settled(rows, "all") == rows


def test_other_files_and_rules_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"x": 1}))
    with pytest.raises(UserError, match="neither AlpacaEval annotations"):
        score_judgments(file, open_source("sample"))
    with pytest.raises(UserError, match=r"no rule 'lats' for duplicates .did you mean 'last'"):
        score_judgments(file, open_source("sample"), duplicates="lats")
