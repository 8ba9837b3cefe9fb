"""Which of several judgments of one answer counts."""

from __future__ import annotations

import pytest

from groundwork.errors import UserError
from harness.benchmarks.judged_twice import Duplicates, settle

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
