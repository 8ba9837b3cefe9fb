"""The paper's plots of the pairs, checked on the figures' own data."""

import math

import pytest

from groundwork.errors import UserError
from leaderboards import load_runs
from leaderboards.benchmark_info import ScoreInfo
from leaderboards.identity import arms_of_runs
from leaderboards.plots import pair_quality_figure
from leaderboards.runs import read_runs
from tests.leaderboards.example_runs import add_eval, start_run, write_lines, write_stage


@pytest.fixture
def run(tmp_path):
    """Two arms of two iterations: accuracy 50 and 100 percent, probability 30 and 40."""
    run = start_run(tmp_path)
    info = ScoreInfo(title="Pair accuracy", column="pair_accuracy", label="Pair acc.", kind="pairs")
    for arm in ("sso", "pbaa"):
        for step, (values, chance) in enumerate((([1, 0], 0.3), ([1, 1], 0.4)), 1):
            add_eval(
                run, "pair_accuracy", values, arm=arm, iteration=step, info=info, headline=True
            )
            folder = run / arm / f"iter-{step}" / "pairs"
            folder.mkdir(parents=True)
            write_stage(run, folder, kind="sample", measures={})
            logp = math.log(chance)
            write_lines(folder / "quality.jsonl", {"chosen_logp": logp, "rejected_logp": logp})
    return run


def drawn(axis):
    return {line.get_label(): line for line in axis.get_lines() if len(line.get_xdata()) == 2}


def test_accuracy_against_average_probability(run):
    (axis,) = pair_quality_figure(load_runs([run]), arms_of_runs(read_runs([run]))).axes
    lines = drawn(axis)
    assert set(lines) >= {"SSO", "PBAA"}
    assert list(lines["SSO"].get_xdata()) == pytest.approx([30.0, 40.0])
    assert list(lines["SSO"].get_ydata()) == pytest.approx([50.0, 100.0])


def test_both_by_iteration(run):
    left, right = pair_quality_figure(
        load_runs([run]), arms_of_runs(read_runs([run])), "iteration"
    ).axes
    assert list(drawn(left)["PBAA"].get_xdata()) == [1, 2]
    assert list(drawn(right)["PBAA"].get_ydata()) == pytest.approx([30.0, 40.0])


def test_nothing_to_plot_is_said(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    with pytest.raises(UserError, match="no pair accuracy with average probability"):
        pair_quality_figure(load_runs([run]), arms_of_runs(read_runs([run])))
