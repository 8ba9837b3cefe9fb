"""Neighbours on the public AlpacaEval leaderboard."""

import csv

import pytest

from leaderboards import render_table
from leaderboards.alpaca import Entry, leaderboard, neighbours
from tests.leaderboards.example_runs import add_eval, start_run


def test_against_alpaca(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "alpaca_eval", [0.2, 0.3], metric="lc_win_rate", value=21.5)
    text = render_table([run], against="alpaca")
    assert "Meta-Llama-3-8B-Instruct" in text
    assert "22.9" in text
    assert "Meta-Llama-3.1-8B-Instruct-Turbo" in text
    assert "20.9" in text
    assert "gpt4_0613" not in text


def test_neighbours():
    entries = [Entry(name, value, 0, 0) for name, value in (("a", 50), ("b", 40), ("c", 30))]
    assert [entry.model for entry in neighbours(40, entries)] == ["b", "c"]
    assert [entry.model for entry in neighbours(60, entries)] == ["a"]
    assert [entry.model for entry in neighbours(35, entries)] == ["b", "c"]


def test_shipped_points_are_the_published_ones(data_dir):
    file = data_dir / "alpaca_eval" / "leaderboard_src_weighted_alpaca_eval_gpt4_turbo.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        whole = {row[""]: row for row in csv.DictReader(lines)}
    shipped = leaderboard()
    assert len(whole) > 200
    assert len(shipped) > 25
    for entry in shipped:
        row = whole[entry.model]
        published = (row["length_controlled_winrate"], row["win_rate"], row["avg_length"])
        ours = (entry.ae2_lc, entry.ae2_wr, entry.length)
        assert ours == pytest.approx(tuple(map(float, published)), abs=1e-4)
