"""Which runs are one experiment, and what each is called."""

import json

import pytest

from leaderboards import iteration_table, load_runs
from leaderboards.identity import group_names, shown_name
from leaderboards.plots import cost_figure, iterations_figure
from leaderboards.report.items import collect
from leaderboards.runs import read_runs
from leaderboards.table import cell
from tests.leaderboards.example_runs import add_eval, start_run, write_stage


def trained(
    root, name, *, lr=1e-6, kind="ipo", model="tiny", arm="sso", value=70.0, seed=0, base=50.0
):
    """A run with base and one iteration; the train stage records its settings."""
    config = {"loss": {"kind": kind, "beta": 0.1}, "training": {"learning_rate": lr}}
    run = start_run(root, name, model=model, config=config)
    add_eval(run, "gsm8k", [1, 0], value=base, stderr=5.0)
    at = {"arm": arm, "iteration": 1, "seed": seed}
    add_eval(run, "gsm8k", [1, 0], value=value, stderr=5.0, **at)
    policy = run / arm / "iter-1" / "policy"
    policy.mkdir(parents=True)
    write_stage(run, policy, kind="train", seconds=60.0, settings=config)
    return run


def labels(axis):
    return [line.get_label() for line in axis.get_lines()]


def test_two_runs_are_named_by_what_differs(tmp_path):
    runs = [trained(tmp_path, "a"), trained(tmp_path, "b", lr=3e-6)]
    assert group_names(read_runs(runs)) == ["tiny · lr 1e-6", "tiny · lr 3e-6"]


def test_runs_that_differ_in_nothing_have_their_names(tmp_path):
    runs = [trained(tmp_path, "a"), trained(tmp_path, "b")]
    assert group_names(read_runs(runs)) == ["tiny · a", "tiny · b"]


def test_seeds_and_arms_of_one_experiment_stand_together(tmp_path):
    runs = [
        trained(tmp_path, "a", seed=0),
        trained(tmp_path, "b", seed=1, value=74.0),
        trained(tmp_path, "c", arm="pbaa"),
    ]
    assert group_names(read_runs(runs)) == ["tiny"] * 3
    table = iteration_table(load_runs(runs))
    assert cell(table, "tiny", ("SSO", "Iter1"), "gsm8k").value == 72.0


def test_another_base_figure_is_another_experiment(tmp_path):
    runs = [trained(tmp_path, "a"), trained(tmp_path, "b", arm="pbaa", base=51.0)]
    assert group_names(read_runs(runs)) == ["tiny · a", "tiny · b"]


def test_equal_values_print_and_base_rows_stay(tmp_path):
    """The second run of a model and arm, with the same figures: all of its rows are there."""
    runs = [trained(tmp_path, "a"), trained(tmp_path, "b")]
    table = iteration_table(load_runs(runs))
    for group in ("tiny · a", "tiny · b"):
        assert cell(table, group, ("base", ""), "gsm8k").text == "50.0"
        assert cell(table, group, ("SSO", "Iter1"), "gsm8k").text == "70.0"


def test_two_models_are_two_lines_and_every_view_has_both(tmp_path):
    runs = [
        trained(tmp_path, "a", model="org/small"),
        trained(tmp_path, "b", model="org/large", value=90.0),
    ]
    frame, read = load_runs(runs), read_runs(runs)
    axis = iterations_figure(frame).axes[0]
    assert labels(axis) == ["org/small: SSO", "org/large: SSO"]
    assert [list(line.get_ydata()) for line in axis.get_lines()] == [[50.0, 70.0], [50.0, 90.0]]
    assert len(labels(cost_figure(frame, read).axes[0])) == 2
    data, _ = collect(read)
    assert set(data["gsm8k"]["checkpoints"]) == {
        "org/small: base", "org/small: SSO 1", "org/large: base", "org/large: SSO 1"
    }  # fmt: skip


def test_two_losses_of_one_model_are_told_apart_without_a_loss_column(tmp_path):
    runs = [trained(tmp_path, "a"), trained(tmp_path, "b", kind="dpo", value=60.0)]
    table = iteration_table(load_runs(runs))
    (group,) = table.groups
    assert [row.labels[0] for row in group.rows] == ["base", "SSO (DPO)", "SSO (IPO)"]


def test_the_name_comes_from_the_recorded_stage(tmp_path):
    """``run.json`` already has the new learning rate; the finished stages had the old one."""
    runs = [trained(tmp_path, "a"), trained(tmp_path, "b", lr=3e-6)]
    info = json.loads((runs[1] / "run.json").read_text())
    info["config"]["training"]["learning_rate"] = 9e-6
    (runs[1] / "run.json").write_text(json.dumps(info))
    assert group_names(read_runs(runs))[1] == "tiny · lr 3e-6"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("runs/first/sso/iter-2/policy/model", "first SSO Iter2"),
        ("/data/runs/first/seed-1/pbaa/iter-1/policy/model", "first PBAA Iter1"),
        ("runs/first/sso/iter-1/generator/model", "first SSO Iter1 generator"),
        ("/models/mine/model", "mine/model"),
        ("/models/llama", "llama"),
        ("org/llama", "org/llama"),
    ],
)
def test_a_checkpoint_of_this_tool_is_named_by_its_run(model, name):
    assert shown_name(model) == name
