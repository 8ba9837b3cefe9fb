"""CSV."""

import csv
import io

from leaderboards import render_table


def test_csv_keeps_full_precision_and_notes(run):
    rows = list(csv.DictReader(io.StringIO(render_table([run], format="csv"))))
    last = next(row for row in rows if (row["method"], row["iter"]) == ("SSO", "Iter2"))
    assert float(last["gsm8k"]) == 65.0
    assert "written for this project" in last["gsm8k_notes"]
    pbaa = next(row for row in rows if row["method"] == "PBAA")
    assert "another protocol" in pbaa["gsm8k_notes"]
