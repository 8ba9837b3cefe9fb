"""Reading run folders: whole, partial, damaged."""

import json
import shutil

import pytest

from groundwork.errors import UserError
from leaderboards import load_runs, render_table
from leaderboards.plots import curves_figure
from leaderboards.runs import read_run, stage_place
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


def digest_of(*contents):
    """Outputs of a stage record, and the checksum under which a later stage reads the first one."""
    from groundwork.files import digest

    outputs = {name: {"bytes": 1, "sha256": sha} for name, sha in contents}
    return outputs, digest({name: sha for name, sha in contents})


def retrained(tmp_path, status):
    """A run whose IPO policy was evaluated, and whose policy stage is now one of DPO."""
    run = start_run(tmp_path, config={"loss": {"kind": "dpo"}})
    _, old = digest_of(("model/w.safetensors", "old"))
    folder = add_eval(run, "gsm8k", [1, 0], arm="sso", iteration=1)
    write_stage(run, folder, kind="eval", inputs={"model": old})
    policy = run / "sso" / "iter-1" / "policy"
    policy.mkdir()
    outputs, _ = digest_of(("model/w.safetensors", "new"))
    made = {"outputs": outputs} if status == "done" else {}
    write_stage(
        run, policy, kind="train", status=status, settings={"loss": {"kind": "dpo"}}, **made
    )
    add_eval(run, "gsm8k", [1, 0])
    return run


@pytest.mark.parametrize("status", ["running", "done"])
def test_figures_of_a_checkpoint_that_is_trained_again_are_left_out(tmp_path, status):
    frame = load_runs([retrained(tmp_path, status)])
    assert frame["arm"].tolist() == ["base"]
    assert frame.attrs["unfinished"] == ["demo: sso/iter-1/eval/gsm8k"]


def test_the_loss_is_that_of_the_recorded_stage(tmp_path):
    """After an interrupted change to DPO the finished iteration is still one of IPO."""
    run = start_run(tmp_path, config={"loss": {"kind": "dpo"}})
    outputs, read = digest_of(("model/w.safetensors", "a"))
    folder = add_eval(run, "gsm8k", [1, 0], arm="sso", iteration=1)
    write_stage(run, folder, kind="eval", inputs={"model": read})
    policy = run / "sso" / "iter-1" / "policy"
    policy.mkdir()
    recorded = {"loss": {"kind": "ipo"}}
    write_stage(run, policy, kind="train", outputs=outputs, settings=recorded)
    assert load_runs([run])["loss"].tolist() == ["ipo"]


def test_notes_of_the_stages_reach_the_figures_and_the_table(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    add_eval(run, "gsm8k", [1, 0], arm="sso", iteration=1)
    policy = run / "sso" / "iter-1" / "policy"
    policy.mkdir()
    write_stage(run, policy, kind="train", notes=["the weights did not change"])
    frame = load_runs([run])
    assert frame["notes"].tolist() == [(), ("the weights did not change",)]
    assert "[a] the weights did not change" in render_table([run])


def test_places_of_stages():
    assert stage_place("sso/iter-2/policy") == ("sso", 2)
    assert stage_place("seed-1/pbaa/iter-10/eval/math") == ("pbaa", 10)
    assert stage_place("base/eval/math") is None


def test_results_that_are_set_aside_do_not_count(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    policy = run / "sso" / "iter-1" / "policy"
    aside = run / ".replaced" / "sso" / "iter-1"
    for folder, loss in ((policy, 1.0), (aside / "policy", 9.0)):
        (folder / "work").mkdir(parents=True)
        (folder / "work" / "curve.jsonl").write_text(f'{{"step": 1, "loss": {loss}}}\n')
    shutil.copytree(run / "base" / "eval", aside / "eval")
    assert load_runs([run])["benchmark"].tolist() == ["gsm8k"]
    (line,) = curves_figure([read_run(run)]).axes[0].get_lines()
    assert line.get_ydata() == [1.0]


def test_stages_stand_in_the_order_of_the_plan_though_one_was_redone(tmp_path):
    names = ["sso/iter-1/sample", "sso/iter-1/pairs"]
    run = start_run(tmp_path, stages=names)
    for hour, name in enumerate(reversed(names)):
        write_stage(run, run / name, kind="sample", started=f"2026-01-01T0{hour}:00:00")
    assert [stage["stage"] for stage in read_run(run).stages] == names
