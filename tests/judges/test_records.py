"""Judging records as lines of JSON: there and back, frozen, no unknown fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from groundwork.records import read_records, write_records
from judges import Rating, Verdict


def test_a_verdict_there_and_back(tmp_path: Path) -> None:
    verdict = Verdict(
        item_id="1", kind="rating", judge="j", protocol="p", state="ok", value=7.5, raw="é\u2028"
    )
    write_records(tmp_path / "v.jsonl", [verdict])
    assert read_records(tmp_path / "v.jsonl", Verdict) == [verdict]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ('{"item_id": "1", "category": "x"}', "v.jsonl:1: turns: Field required"),
        ('{"item_id": "1", "category": "x", "turns": [], "vote": 1}', "v.jsonl:1: vote: Extra"),
    ],
)
def test_other_lines_are_refused_by_line(line: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "v.jsonl").write_text(line)
    with pytest.raises(UserError, match=match):
        read_records(tmp_path / "v.jsonl", Rating)
