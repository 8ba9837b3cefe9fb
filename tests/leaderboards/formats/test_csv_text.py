"""CSV."""

import csv
import io

from leaderboards import render_table
from leaderboards.formats.csv_text import safe_cell


def test_csv_keeps_full_precision_and_notes(run):
    rows = list(csv.DictReader(io.StringIO(render_table([run], format="csv"))))
    last = next(row for row in rows if (row["method"], row["iter"]) == ("SSO", "Iter2"))
    assert float(last["gsm8k"]) == 65.0
    assert "written for this project" in last["gsm8k_notes"]
    pbaa = next(row for row in rows if row["method"] == "PBAA")
    assert "another protocol" in pbaa["gsm8k_notes"]


def test_cells_that_a_spreadsheet_would_run_are_texts():
    for text in ("=cmd()", "+1", "-1+2", "@x", " =1", "=\x1b[31m1"):
        assert safe_cell(text).startswith("'")
    assert safe_cell("plain, text") == "plain, text"
    assert safe_cell("two\r\nlines\ttab") == "two lines\ttab"
