"""Files, inline SVG, names."""

import pytest

from leaderboards import load_runs
from leaderboards.plots import (
    iterations_figure,
    save,
    svg,
)
from tests.leaderboards.example_runs import add_eval, demo_run, start_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return demo_run(tmp_path_factory.mktemp("runs"))


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
