"""Reading run folders and aggregating their scores."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

import leaderboards
from groundwork.errors import UserError
from leaderboards import load_runs, over_seeds
from leaderboards.score_frame import COLUMNS
from tests.leaderboards.example_runs import add_eval, add_score, start_run, write_json, write_stage


def test_one_row_a_score_with_the_documented_columns(tmp_path):
    run = start_run(tmp_path)
    folder = add_eval(run, "gsm8k", [1, 0, 1, 1])
    add_score(
        folder, benchmark="gsm8k", metric="flexible", value=80, n=4, n_expected=4, protocol="p"
    )
    add_eval(
        run, "gsm8k", [1, 1, 1, 1], arm="sso", iteration=1, marks=("sample-data", "item-limit")
    )
    frame = load_runs([run])
    assert list(frame.columns) == list(COLUMNS)
    assert frame["value"].tolist() == [75.0, 80.0, 100.0]
    assert frame["loss"].tolist() == ["", "", "ipo"]
    assert frame["marks"].tolist() == ["", "", "sample-data|item-limit"]
    assert set(frame["model"]) == {"tiny"}


def test_a_folder_of_runs_stands_for_all_of_them(tmp_path):
    for name in ("one", "two"):
        add_eval(start_run(tmp_path, name), "math", [1, 0])
    assert load_runs([tmp_path])["run"].tolist() == ["one", "two"]


def test_a_partial_run_counts_as_far_as_it_is(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    half = add_eval(run, "math", [1, 1])
    (half / "stage.json").unlink()
    frame = load_runs([run])
    assert frame["benchmark"].tolist() == ["gsm8k"]
    assert frame.attrs["unfinished"] == ["demo: base/eval/math"]


def test_over_seeds_by_hand(tmp_path):
    runs = []
    for seed, share in enumerate([0.50, 0.54, 0.58]):
        run = start_run(tmp_path, f"seed{seed}")
        add_eval(
            run, "gsm8k", [0, 1], arm="sso", iteration=1, seed=seed, value=share * 100, stderr=3.0
        )
        runs.append(run)
    (row,) = over_seeds(load_runs(runs))
    assert (row["value"], row["seeds"]) == (pytest.approx(54.0), 3)
    assert row["seed_sd"] == pytest.approx(4.0)
    assert row["stderr"] == pytest.approx(math.hypot(3.0, 4 / math.sqrt(3)))
    half = math.hypot(1.959964 * 3, stats.t.ppf(0.975, 2) * 4 / math.sqrt(3))
    assert row["ci_high"] - row["value"] == pytest.approx(half)


def test_one_seed_keeps_its_own_figures(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [0, 1, 1, 1], ci_low=40.0, ci_high=99.0)
    (row,) = over_seeds(load_runs([run]))
    assert (row["value"], row["ci_low"], row["ci_high"], row["seeds"]) == (75.0, 40.0, 99.0, 1)
    assert np.isnan(row["seed_sd"])


def bad_run(tmp_path, fault):
    run = start_run(tmp_path)
    folder = add_eval(run, "gsm8k", [1, 0])
    if fault == "newer run":
        write_json(run / "run.json", {"schema": 2, "name": "demo"})
    elif fault == "newer stage":
        write_stage(run, folder, schema=7)
    elif fault == "half run.json":
        (run / "run.json").write_text('{"schema": 1, "na')
    elif fault == "half scores":
        (folder / "scores.json").write_text('[{"benchmark": "gs')
    elif fault == "NaN":
        rows = json.loads((folder / "scores.json").read_text())
        rows[0]["value"] = float("nan")
        write_json(folder / "scores.json", rows)
    elif fault == "unknown field":
        rows = json.loads((folder / "scores.json").read_text())
        write_json(folder / "scores.json", [{**rows[0], "valu": 3}])
    elif fault == "no scores":
        (folder / "scores.json").unlink()
    return run


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("newer run", r"run\.json has schema 2; this release reads up to 1"),
        ("newer stage", r"stage\.json has schema 7"),
        ("half run.json", r"damaged or half written: .*run\.json"),
        ("half scores", r"damaged or half written: .*scores\.json"),
        ("NaN", r"gsm8k accuracy: value is nan, not a number"),
        ("unknown field", r"scores\.json: score 1: valu: "),
        ("no scores", r"no finished scores in .*resume the run"),
    ],
)
def test_bad_runs_are_one_clear_line(tmp_path, fault, message):
    with pytest.raises(UserError, match=message) as raised:
        load_runs([bad_run(tmp_path, fault)])
    assert "\n" not in str(raised.value)


def test_no_such_run_and_not_a_run(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        load_runs([tmp_path / "absent"])
    with pytest.raises(UserError, match=r"not a run folder \(it has no run\.json\)"):
        load_runs([tmp_path])
    with pytest.raises(UserError, match="no run folder was named"):
        load_runs([])


def test_a_mistyped_run_names_the_nearest(tmp_path):
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "run.json").write_text("{}")
    with pytest.raises(UserError, match=r"quickstar \(did you mean .*/quickstart\?\)$"):
        load_runs([tmp_path / "quickstar"])


def test_the_room_imports_nothing_heavy():
    code = "import sys, leaderboards; print([m for m in ('pandas','numpy','scipy','matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(hasattr(leaderboards, name) for name in leaderboards.__all__)
