"""From run folders to the text of a table."""

from pathlib import Path

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards import render_table
from leaderboards.formats import FORMATS
from leaderboards.render import format_of
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run


@pytest.fixture
def run(tmp_path):
    """base, sso 1-2 and pbaa 1 on GSM8K (sso 2 clearly better) and MT-Bench."""
    run = start_run(tmp_path)
    base = np.array(coin_flips(200, 0.4, 0))
    better = base.copy()
    better[np.flatnonzero(base == 0)[:50]] = 1  # 50 items gained, none lost: p = 2^-49
    slightly = base.copy()
    slightly[np.flatnonzero(base == 0)[0]] = 1
    add_eval(run, "gsm8k", base.tolist(), marks=("sample-data",))
    add_eval(run, "gsm8k", slightly.tolist(), arm="sso", iteration=1, marks=("sample-data",))
    add_eval(run, "gsm8k", better.tolist(), arm="sso", iteration=2, marks=("sample-data",))
    add_eval(
        run,
        "gsm8k",
        base.tolist(),
        arm="pbaa",
        iteration=1,
        protocol="gsm8k@2",
        marks=("sample-data",),
    )
    for arm, iteration, value in (("base", 0, 5.0), ("sso", 1, 6.0), ("pbaa", 1, 5.5)):
        add_eval(
            run,
            "mt_bench",
            [value, value + 0.2],
            metric="average",
            unit="points",
            arm=arm,
            iteration=iteration,
        )
    return run


def test_unknown_names_list_the_known_ones(run):
    with pytest.raises(UserError, match=r"no table layout 'sumary' \(did you mean 'summary'"):
        render_table([run], layout="sumary")
    with pytest.raises(UserError, match=r"no table format 'pdf' \(there are: terminal"):
        render_table([run], format="pdf")
    with pytest.raises(UserError, match="can't compare against 'arena'"):
        render_table([run], against="arena")
    with pytest.raises(UserError, match="no figure that the table 'reward-models' shows"):
        render_table([run], layout="reward-models")
    assert set(FORMATS) == {"terminal", "md", "latex", "html", "csv"}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("t.md", "md"),
        ("t.tex", "latex"),
        ("T.HTML", "html"),
        ("t.csv", "csv"),
        ("t.txt", "terminal"),
    ],
)
def test_the_ending_of_a_file_is_its_format(name, form):
    assert format_of(Path(name)) == form


def test_an_ending_that_is_no_format():
    with pytest.raises(UserError, match=r"t\.pdf: the ending stands for no table format \(\.md"):
        format_of(Path("t.pdf"))


def test_a_model_of_the_paper_needs_the_paper(run):
    with pytest.raises(UserError, match="--paper-model goes with --against paper"):
        render_table([run], paper_model="Qwen2-7B-Instruct")
