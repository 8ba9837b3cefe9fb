"""The report's plots by section."""

from leaderboards import load_runs
from leaderboards.report.figures import figures
from leaderboards.runs import read_runs
from tests.leaderboards.example_runs import add_eval, demo_run, start_run


def titles(run):
    found = figures(load_runs([run]), read_runs([run]))
    return {name: [title.split(" (")[0] for title, _ in part] for name, part in found.items()}


def test_every_section_has_its_plots(tmp_path):
    assert titles(demo_run(tmp_path)) == {
        "trajectories": [
            "Scores by iteration", "Answer length against win rate", "Cost against quality",
        ],
        "categories": [],
        "training": ["Pair accuracy and on-policyness by iteration", "Training curves"],
    }  # fmt: skip


def test_what_a_run_has_no_data_for_is_left_out(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    assert titles(run) == {
        "trajectories": ["Scores by iteration"],
        "categories": [],
        "training": [],
    }
    assert figures(None, read_runs([run])) == {"trajectories": [], "categories": [], "training": []}
