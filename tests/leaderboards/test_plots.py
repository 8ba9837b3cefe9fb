"""Plots: what is drawn, checked on the figures' own data."""

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards import load_runs
from leaderboards.plots import (
    cost_figure,
    curves_figure,
    iterations_figure,
    length_figure,
    policyness_figure,
    save,
    svg,
)
from leaderboards.plots.style import stage_place
from leaderboards.plots.training import spending
from leaderboards.runs import read_runs
from tests.leaderboards.example_runs import add_eval, demo_run, start_run, write_stage

SSO = ("tiny", "sso", "ipo")


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
    assert band.max() == pytest.approx((ultra["value"] + 1.96 * ultra["stderr"]).max())


def test_length_against_win_rate(run):
    axis = length_figure(load_runs([run])).axes[0]
    assert lines(axis)["SSO"].get_xdata().tolist() == [1100, 1300, 1500]
    assert lines(axis)["base"].get_xdata().tolist() == [900]


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
    assert high == 5


def test_training_curves(run):
    figure = curves_figure(read_runs([run]))
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels == ["loss", "reward margin", "reward accuracy", "KL to ref"]
    margin = lines(figure.axes[1])["SSO 1 policy"]
    np.testing.assert_allclose(margin.get_ydata(), 0.01 * np.arange(1, 21))


@pytest.mark.parametrize("ending", ["pdf", "svg", "png"])
def test_files(run, tmp_path, ending):
    path = save(iterations_figure(load_runs([run])), tmp_path / f"scores.{ending}")
    start = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}[ending]
    assert path.read_bytes().startswith(start)
    again = save(iterations_figure(load_runs([run])), tmp_path / f"again.{ending}")
    if ending != "svg":  # the ids inside an SVG file are random
        assert again.read_bytes() == path.read_bytes()


def test_inline_svg_is_reproducible(run):
    texts = [svg(iterations_figure(load_runs([run])), "scores") for _ in range(2)]
    assert texts[0] == texts[1]
    assert texts[0].startswith("<svg")


def test_names_with_dollars_are_drawn_as_they_are(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    add_eval(run, "gsm8k", [1, 0], arm=r"$\frac{$", iteration=1)
    assert r"\frac" in svg(iterations_figure(load_runs([run])), "x")


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


def test_places_of_stages():
    assert stage_place("sso/iter-2/policy") == ("sso", 2)
    assert stage_place("seed-1/pbaa/iter-10/eval/math") == ("pbaa", 10)
    assert stage_place("base/eval/math") is None
