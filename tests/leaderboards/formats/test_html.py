"""HTML: names stay text."""

from leaderboards import render_table
from leaderboards.formats import latex, markdown
from tests.leaderboards.example_runs import add_eval, start_run

HOSTILE = "<script>alert(1)</script>|_*`\\end{table}&%$#{}~^"


def test_hostile_names_stay_text(tmp_path):
    run = start_run(tmp_path, model=HOSTILE)
    add_eval(run, "gsm8k", [1, 0, 1], protocol=HOSTILE, marks=(HOSTILE,))
    assert "<script>" not in render_table([run], format="html")
    assert "<script>" not in render_table([run], format="md")
    assert "\\end{table}&" not in render_table([run], format="latex")
    assert markdown.escape("a|b_c") == "a\\|b\\_c"
    assert latex.escape("50 % of $5_x") == r"50 \% of \$5\_x"
