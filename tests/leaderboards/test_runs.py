"""Reading run folders: whole, partial, damaged."""

import json

import pytest

from groundwork.errors import UserError
from leaderboards import load_runs
from tests.leaderboards.example_runs import add_eval, start_run, write_json, write_stage


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
