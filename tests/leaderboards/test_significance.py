"""Which changes of a table are real."""

import numpy as np

from leaderboards import iteration_table, load_runs
from leaderboards.table import cell
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run


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
