"""Which changes of a table are real."""

import numpy as np
import pytest

from leaderboards import iteration_table, load_runs
from leaderboards.table import cell
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


def test_significance_against_base_and_previous(run):
    table = iteration_table(load_runs([run]))
    last = cell(table, "tiny", ("SSO", "Iter2"), "gsm8k")
    assert (last.versus_base, last.versus_previous) == (1, 1)
    first = cell(table, "tiny", ("SSO", "Iter1"), "gsm8k")
    assert (first.versus_base, first.versus_previous) == (0, 0)


def test_detectable_difference_of_a_column(tmp_path):
    run = start_run(tmp_path)
    base = coin_flips(100, 0.5, 0)
    after = [1 - value if i < 20 else value for i, value in enumerate(base)]
    add_eval(run, "gsm8k", base)
    add_eval(run, "gsm8k", after, arm="sso", iteration=1)
    difference = np.array(after) - np.array(base)
    expected = 2.801585 * 100 * difference.std(ddof=1) / 10
    table = iteration_table(load_runs([run]))
    assert table.detectable == (f"{expected:.1f}",)
