"""Plots of scores, checked on the figures' own data."""

import pytest
from scipy import stats

from groundwork.errors import UserError
from leaderboards import load_runs
from leaderboards.plots import (
    cost_figure,
    curves_figure,
    iterations_figure,
    length_figure,
    policyness_figure,
)
from leaderboards.runs import read_runs
from tests.leaderboards.example_runs import add_eval, demo_run, start_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return demo_run(tmp_path_factory.mktemp("runs"))


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def panel(figure, title):
    return next(axis for axis in figure.axes if axis.get_title() == title)


def test_scores_by_iteration_start_at_base(run):
    frame = load_runs([run])
    axis = panel(iterations_figure(frame), "GSM8K")
    drawn = lines(axis)
    assert set(drawn) == {"SSO", "PBAA", "UltraFeedback"}
    rows = frame[(frame["benchmark"] == "gsm8k") & frame["arm"].isin(["base", "sso"])]
    expected = rows.sort_values("iteration")["value"].tolist()
    assert drawn["SSO"].get_ydata().tolist() == pytest.approx(expected)
    band = axis.collections[0].get_paths()[0].vertices[:, 1]
    ultra = frame[(frame["benchmark"] == "gsm8k") & frame["arm"].isin(["base", "ultrafeedback"])]
    right = [round(value / 100 * 24) for value in ultra["value"]]
    ends = [stats.binomtest(k, 24).proportion_ci(method="wilson").high for k in right]
    assert band.max() == pytest.approx(100 * max(ends))


def test_length_against_win_rate(run):
    axis = length_figure(load_runs([run])).axes[0]
    assert lines(axis)["SSO"].get_xdata().tolist() == [1100, 1300, 1500]
    assert lines(axis)["base"].get_xdata().tolist() == [900]


def test_bands_stay_inside_the_unit_and_equal_values_get_a_plain_axis(tmp_path):
    run = start_run(tmp_path)
    for iteration, value in enumerate((99.0, 1.0)):
        arm = "sso" if iteration else "base"
        add_eval(run, "gsm8k", [1, 0], arm=arm, iteration=iteration, value=value, stderr=30.0)
        add_eval(run, "math", [0, 0], arm=arm, iteration=iteration)
    figure = iterations_figure(load_runs([run]))
    (filled,) = panel(figure, "GSM8K").collections
    heights = filled.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.0, 100.0)
    low, high = panel(figure, "MATH").get_ylim()
    assert -1 < low < 0
    # 0 of 2 right: Wilson's interval reaches z^2 / (2 + z^2) = 65.8 %
    assert 65.8 < high < 70


def test_equal_ratings_are_not_magnified(tmp_path):
    run = start_run(tmp_path)
    for iteration in range(2):
        at = {"arm": "sso" if iteration else "base", "iteration": iteration}
        add_eval(run, "mt_bench", [5.0, 5.0], metric="average", unit="points", **at)
    low, high = panel(iterations_figure(load_runs([run])), "MT").get_ylim()
    assert high - low == pytest.approx(0.9)


def test_nothing_to_plot(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    frame, runs = load_runs([run]), read_runs([run])
    for draw in (
        lambda: length_figure(frame),
        lambda: policyness_figure(frame, runs),
        lambda: curves_figure(runs),
        lambda: cost_figure(frame, runs),
    ):
        with pytest.raises(UserError, match=r"^no "):
            draw()
