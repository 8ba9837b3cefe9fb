"""Plots of categories and subjects, checked on the figures' own data."""

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards import load_runs
from leaderboards.plots import radar_figure, subjects_figure
from tests.leaderboards.example_runs import add_eval, add_score, start_run


def parts(run, benchmark, metric, unit, figures, **at):
    folder = add_eval(run, benchmark, [1, 0], metric=metric, unit=unit, **at)
    for category, value in figures.items():
        add_score(folder, benchmark=benchmark, metric=metric, unit=unit, category=category, value=value,
                  stderr=1.0, n=10, n_expected=10, protocol="p", **at)  # fmt: skip


def test_ratings_by_category(tmp_path):
    run = start_run(tmp_path)
    for iteration, shift in ((0, 0.0), (1, 9.0), (2, 1.0)):
        figures = {"writing": 4.0 + shift / 9, "math": 2.0, "coding": 3.0}
        arm = "sso" if iteration else "base"
        parts(run, "mt_bench", "average", "points", figures, arm=arm, iteration=iteration)
    (axis,) = radar_figure(load_runs([run])).axes
    drawn = {line.get_label(): line for line in axis.get_lines()}
    assert set(drawn) == {"base", "SSO 2"}
    # closed polygons: the first category again at the end
    np.testing.assert_allclose(drawn["base"].get_ydata(), [4.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(drawn["SSO 2"].get_ydata(), [4 + 1 / 9, 2.0, 3.0, 4 + 1 / 9])


def test_accuracy_by_subject(tmp_path):
    run = start_run(tmp_path)
    parts(run, "mmlu_pro", "accuracy", "percent", {"law": 30.0, "physics": 50.0})
    parts(run, "mmlu", "accuracy", "percent", {f"subject {n}": 50.0 for n in range(57)})
    (axis,) = subjects_figure(load_runs([run])).axes
    assert axis.get_title() == "MMLU-Pro"
    assert [text.get_text() for text in axis.get_yticklabels()] == ["physics", "law"]
    points = next(line for line in axis.get_lines() if line.get_label() == "base")
    assert list(points.get_xdata()) == [30.0, 50.0]


def test_nothing_by_category(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    for draw in (radar_figure, subjects_figure):
        with pytest.raises(UserError, match=r"^no "):
            draw(load_runs([run]))
