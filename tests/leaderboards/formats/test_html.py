"""HTML: names stay text."""

import numpy as np
import pytest

from leaderboards import render_table
from leaderboards.formats import latex, markdown
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


HOSTILE = "<script>alert(1)</script>|_*`\\end{table}&%$#{}~^"


def test_hostile_names_stay_text(tmp_path):
    run = start_run(tmp_path, model=HOSTILE)
    add_eval(run, "gsm8k", [1, 0, 1], protocol=HOSTILE, marks=(HOSTILE,))
    assert "<script>" not in render_table([run], format="html")
    assert "<script>" not in render_table([run], format="md")
    assert "\\end{table}&" not in render_table([run], format="latex")
    assert markdown.escape("a|b_c") == "a\\|b\\_c"
    assert latex.escape("50 % of $5_x") == r"50 \% of \$5\_x"
