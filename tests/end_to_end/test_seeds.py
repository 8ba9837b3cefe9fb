"""A run of several seeds, from training to every command that reads its folder."""

from __future__ import annotations

import csv
import json
import math
import statistics
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call, small


def score_of(folder: Path, metric: str) -> tuple[float, float]:
    """Value and standard error of one whole-benchmark score."""
    rows = json.loads((folder / "scores.json").read_text())
    (row,) = (row for row in rows if row["metric"] == metric and not row["category"])
    return row["value"], row["stderr"]


def test_seeds_from_the_run_to_the_gate(
    call: Call, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("runs/seeds")
    args = small(tiny_model_dir, run, "--benchmarks", "alpaca_eval,gsm8k", "--seeds", "3")
    done = call("run", "--iters", 1, "-q", *args)
    assert done.code == 0, done.err
    assert sorted(path.name for path in run.glob("seed-*")) == ["seed-0", "seed-1", "seed-2"]
    assert "means over 3 seeds" in done.out

    # The cell is the mean; its error the items' root mean square and the spread over the seeds.
    parts = [
        score_of(run / f"seed-{seed}/sso/iter-1/eval/alpaca_eval", "lc_win_rate")
        for seed in range(3)
    ]
    values, errors = zip(*parts, strict=True)
    with (run / "tables/iterations.csv").open() as handle:
        (row,) = (row for row in csv.DictReader(handle) if row["iter"] == "Iter1")
    assert float(row["ae2_lc"]) == pytest.approx(statistics.fmean(values), abs=1e-5)
    items = sum(error**2 for error in errors) / 3
    expected = math.sqrt(items + statistics.variance(values) / 3)
    assert float(row["ae2_lc_stderr"]) == pytest.approx(expected, abs=1e-5)

    page = tmp_path / "report.html"
    assert call("report", run, "--out", page).code == 0
    text = page.read_text()
    assert all(f"SSO 1 · seed {seed}" in text for seed in range(3))
    drawn = call("plot", run, "--format", "svg")
    assert drawn.code == 0
    missing = [line for line in drawn.out.splitlines() if not line.startswith("written: ")]
    assert [line.split(" plot:")[0] for line in missing] == ["no categories", "no subjects"]

    assert call("baseline", "save", run, "--out", "main.json").code == 0
    for baseline in ("main.json", run):
        same = call("check", run, "--baseline", baseline)
        assert same.code == 3, "equal answers on eight items rule nothing out"
        assert "+0.00" in same.out
        assert "-0.00" not in same.out

    assert call("history", "add", run, "--branch", "main").code == 0
    shown = call("history", "show", "--benchmarks", "alpaca_eval")
    assert shown.code == 0
    points = [line for line in shown.out.splitlines() if "  seeds  " in line]
    assert len(points) == 2, "one point for base, one for the arm, whatever the number of seeds"
    assert f"{statistics.fmean(values):.1f}" in points[1]
    assert call("history", "plot", "--out", "trend.svg").code == 0
    assert call("check", run, "--baseline", "history:main").code == 3
