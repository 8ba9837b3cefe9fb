"""Names with control characters, line ends and formulas: every format of a table stays one table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from leaderboards import render_table
from tests.leaderboards.example_runs import add_eval, start_run

EVIL = "=evil()\r\n| x |\x1b[31m\x9b2J\u202e\u2028\ud800"


def evaluated(folder: Path, model: str) -> Path:
    """A run of a model of this name, as it stands in escaped JSON."""
    folder.mkdir(exist_ok=True)
    run = start_run(folder, model="MODEL")
    add_eval(run, "gsm8k", [1, 0, 1])
    file = run / "run.json"
    file.write_text(file.read_text().replace('"MODEL"', json.dumps(model)))
    return run


@pytest.mark.parametrize("form", ["terminal", "md", "latex", "html", "csv"])
def test_a_hostile_name_breaks_no_table(tmp_path: Path, form: str) -> None:
    evil, plain = (
        render_table([evaluated(tmp_path / str(i), name)], format=form)
        for i, name in enumerate((EVIL, "plain"))
    )
    assert not set(evil) & set("\r\x1b\x9b\u202e\ud800")
    assert evil.count("\n") == plain.count("\n")
    evil.encode()


def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    run = evaluated(tmp_path, EVIL)
    for row in csv.reader(io.StringIO(render_table([run], format="csv"))):
        assert not any(cell.startswith(("=", "+", "@")) for cell in row)
