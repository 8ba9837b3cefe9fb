"""Which files are judgments at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.benchmarks.saved_judgments import score_judgments
from harness.data import open_source


def test_other_files_and_rules_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"x": 1}))
    with pytest.raises(UserError, match="neither AlpacaEval annotations"):
        score_judgments(file, open_source("sample"))
    with pytest.raises(UserError, match=r"no rule 'lats' for duplicates .did you mean 'last'"):
        score_judgments(file, open_source("sample"), duplicates="lats")
