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


def test_bold_takes_all_figures_of_a_column_into_account(tmp_path):
    """12 against 5 of 20 flips is p = 0.016 alone, and nothing among ten figures."""
    run = start_run(tmp_path)
    base = [1.0] * 5 + [0.0] * 15
    best = [1.0] * 12 + [0.0] * 8
    add_eval(run, "gsm8k", base)
    add_eval(run, "gsm8k", best, arm="sso", iteration=1)
    alone = iteration_table(load_runs([run]))
    assert cell(alone, "tiny", ("SSO", "Iter1"), "gsm8k").rank == 1
    for iteration in range(2, 8):
        add_eval(run, "gsm8k", base, arm="sso", iteration=iteration)
    table = iteration_table(load_runs([run]))
    assert {row.cells[0].rank for row in table.groups[0].rows} == {0}
