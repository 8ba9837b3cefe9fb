"""Records of the training core: one line of JSON each, that reads back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from groundwork.errors import UserError
from groundwork.records import read_records, write_records
from sso.records import Contrast, PreferencePair, Principle, Query, Response

PAIR = PreferencePair(
    id="q/policy",
    query_id="q",
    prompt=({"role": "user", "content": "Why?\u2028 Ünïcode"},),
    chosen="a",
    rejected="b",
    truncated=("rejected",),
)


def test_a_contrast_reads_back(tmp_path: Path) -> None:
    contrast = Contrast(
        query=Query(id="q", text="Why?\n"),
        principle=Principle(query_id="q", features=("Safety",), good="g", bad="b"),
        good=Response(text="y+", tokens=2),
        bad=Response(text="y-", tokens=2, truncated=True),
    )
    write_records(tmp_path / "c.jsonl", [contrast, contrast])
    assert read_records(tmp_path / "c.jsonl", Contrast) == [contrast, contrast]


def test_a_pair_reads_back_and_does_not_change(tmp_path: Path) -> None:
    write_records(tmp_path / "p.jsonl", [PAIR])
    assert read_records(tmp_path / "p.jsonl", PreferencePair) == [PAIR]
    with pytest.raises(ValidationError):
        PAIR.chosen = "c"  # type: ignore[misc]


def test_another_version_or_field_is_named_by_line(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(PAIR.model_dump_json().replace('"v":1', '"v":2') + "\n")
    with pytest.raises(UserError, match=r"p\.jsonl:1: v: "):
        read_records(file, PreferencePair)
