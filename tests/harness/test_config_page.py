"""The page of every key is what the schema gives, and every key says what it is."""

from __future__ import annotations

from pathlib import Path

from harness.config import RunConfig
from harness.config_page import keys, page

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_the_schema_s() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_key_is_described() -> None:
    assert [key for key, field in keys(RunConfig) if not field.description] == []


def test_values_and_bounds_are_shown() -> None:
    text = page()
    assert "| `loss.kind` | ipo | ipo / dpo |" in text
    assert "| `sampling.top_p` | 0.8 | number, > 0, <= 1 |" in text
    assert "| `queries.per_iteration` | none | whole number, >= 1 |" in text
