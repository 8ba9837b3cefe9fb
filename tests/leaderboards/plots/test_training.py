"""Plots of training and cost, checked on the figures' own data."""

import math

import numpy as np
import pytest

from leaderboards import load_runs
from leaderboards.plots import (
    cost_figure,
    curves_figure,
    lengths_figure,
    policyness_figure,
    probability_figure,
)
from leaderboards.plots.training import spending
from leaderboards.runs import read_runs
from tests.leaderboards.example_runs import add_eval, demo_run, start_run, write_lines, write_stage

SSO = ("tiny", "sso", "ipo")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return demo_run(tmp_path_factory.mktemp("runs"))


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def test_pair_accuracy_and_on_policyness(run):
    left, right = policyness_figure(load_runs([run]), read_runs([run])).axes
    assert "SSO" in lines(left)
    gaps = lines(right)
    assert gaps["SSO chosen"].get_ydata().tolist() == pytest.approx([-0.1, -0.2, -0.3])
    assert gaps["SSO rejected"].get_ydata().tolist() == pytest.approx([-0.3, -0.6, -0.9])


def test_log_probabilities_become_gaps(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    folder = run / "sso" / "iter-1" / "pairs"
    folder.mkdir(parents=True)
    logps = {"avg_logp_chosen": -1.5, "avg_logp_rejected": -2.5, "avg_logp_original": -1.0}
    write_stage(run, folder, kind="sample", measures=logps)
    _, right = policyness_figure(load_runs([run]), read_runs([run])).axes
    assert lines(right)["SSO chosen"].get_ydata().tolist() == [-0.5]
    assert lines(right)["SSO rejected"].get_ydata().tolist() == [-1.5]


def test_cost_is_summed_up_to_an_iteration(run):
    spent = spending(read_runs([run]))
    assert spent[SSO, 1] == pytest.approx((100.0, 0.04))
    assert spent[SSO, 3] == pytest.approx((300.0, 0.12))
    axis = cost_figure(load_runs([run]), read_runs([run])).axes[0]
    assert lines(axis)["PBAA"].get_xdata().tolist() == pytest.approx([100 / 60, 200 / 60, 5.0])


def test_quality_beside_cost_has_the_error_of_a_mean_of_scores(tmp_path):
    run = start_run(tmp_path)
    for name, items in (("gsm8k", [1, 0] * 8), ("math", [1, 1, 1, 0] * 4)):
        add_eval(run, name, items, arm="sso", iteration=1)
    folder = run / "sso/iter-1/policy"
    folder.mkdir(parents=True)
    write_stage(run, folder, kind="train", seconds=60.0)
    frame = load_runs([run])
    axis = cost_figure(frame, read_runs([run])).axes[0]
    (bar,) = axis.collections[0].get_segments()
    errors = frame[frame["headline"]]["stderr"]
    assert len(errors) == 2
    half = 1.96 * math.hypot(*errors) / 2
    assert [y for _, y in bar] == pytest.approx([62.5 - half, 62.5 + half])
    low, high = axis.get_ylim()
    assert high - low >= 10


def test_several_seeds_are_averaged(tmp_path):
    run = start_run(tmp_path)
    for seed, (seconds, loss) in enumerate([(60.0, 4.0), (120.0, 2.0)]):
        sample = run / f"seed-{seed}/sso/iter-1/sample"
        policy = run / f"seed-{seed}/sso/iter-1/policy"
        for folder in (sample, policy):
            folder.mkdir(parents=True)
        gaps = {"chosen_gap": -1.0 - seed, "rejected_gap": -3.0 - seed}
        write_stage(run, sample, kind="sample", seconds=seconds, measures=gaps)
        write_stage(run, policy, kind="train", seconds=seconds)
        (policy / "curve.jsonl").write_text(f'{{"step": 1, "loss": {loss}}}\n')
        add_eval(run, "gsm8k", [1, 0, 1, 0], arm="sso", iteration=1, seed=seed, folder=f"s{seed}")
    read, frame = read_runs([run]), load_runs([run])
    assert spending(read)[SSO, 1] == (180.0, 0.0)
    drawn = lines(policyness_figure(frame, read).axes[1])
    assert drawn["SSO chosen"].get_ydata() == [-1.5]
    assert lines(curves_figure(read).axes[0])["SSO 1 policy"].get_ydata() == [3.0]


def test_training_curves(run):
    figure = curves_figure(read_runs([run]))
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels == ["loss", "reward margin", "reward accuracy", "KL to ref"]
    margin = lines(figure.axes[1])["SSO 1 policy"]
    np.testing.assert_allclose(margin.get_ydata(), 0.01 * np.arange(1, 21))


def measured(run, iteration, accuracy, **measures):
    folder = run / "sso" / f"iter-{iteration}" / "pairs"
    folder.mkdir(parents=True)
    write_stage(run, folder, kind="sample", measures=measures)
    at = {"arm": "sso", "iteration": iteration, "folder": "."}
    add_eval(run, "pair_accuracy", [1.0] * accuracy + [0.0] * (20 - accuracy), **at)


def test_accuracy_against_average_probability(tmp_path):
    run = start_run(tmp_path)
    measured(
        run,
        1,
        15,
        chosen_logp=math.log(0.25),
        rejected_logp=math.log(0.1),
        chosen_tokens=30.0,
        rejected_tokens=20.0,
    )
    measured(
        run,
        2,
        12,
        chosen_logp=math.log(0.5),
        rejected_logp=math.log(0.2),
        chosen_tokens=40.0,
        rejected_tokens=10.0,
    )
    good, bad = probability_figure(load_runs([run]), read_runs([run])).axes
    assert lines(good)["SSO"].get_xdata().tolist() == pytest.approx([25.0, 50.0])
    assert lines(good)["SSO"].get_ydata().tolist() == [75.0, 60.0]
    assert lines(bad)["SSO"].get_xdata().tolist() == pytest.approx([10.0, 20.0])
    (tokens,) = lengths_figure(read_runs([run])).axes
    assert lines(tokens)["SSO chosen"].get_ydata().tolist() == [30.0, 40.0]
    assert lines(tokens)["SSO rejected"].get_ydata().tolist() == [20.0, 10.0]


def test_a_line_keeps_its_colour_in_every_plot(tmp_path):
    run = demo_run(tmp_path)
    frame, read = load_runs([run]), read_runs([run])
    figures = (cost_figure(frame, read), policyness_figure(frame, read), curves_figure(read))
    colours = {
        line.get_color()
        for figure in figures
        for axis in figure.axes
        for label, line in lines(axis).items()
        if str(label).startswith("SSO")
    }
    assert len(colours) == 1


def bars(axis):
    """Half heights of the error bars of an axis."""
    return [
        (segment[1][1] - segment[0][1]) / 2
        for found in axis.collections
        if hasattr(found, "get_segments")
        for segment in found.get_segments()
    ]


def test_gaps_have_bars_over_their_pairs(tmp_path):
    run = start_run(tmp_path)
    measured(run, 1, 15, chosen_gap=-0.5, rejected_gap=-1.0)
    rows = [(-1.0, -2.0), (-1.5, -2.0), (-2.0, -2.0)]
    lines_of = [{"chosen_logp": a, "rejected_logp": b, "original_logp": -1.0} for a, b in rows]
    write_lines(run / "sso" / "iter-1" / "pairs" / "quality.jsonl", *lines_of)
    _, right = policyness_figure(load_runs([run]), read_runs([run])).axes
    # gaps 0, -0.5, -1: standard deviation 0.5 over the root of 3; the rejected ones are all equal
    assert bars(right) == pytest.approx([1.96 * 0.5 / math.sqrt(3)])
