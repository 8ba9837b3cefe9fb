"""Plain text for a terminal."""

from leaderboards import iteration_table, load_runs, render_table
from leaderboards.formats.terminal import render
from tests.leaderboards.example_runs import add_eval, start_run


def test_terminal_colours_are_optional(run):
    assert "\x1b[" not in render_table([run], color=False)
    assert "\x1b[1m65.0\x1b[0m" in render_table([run], color=True)


def test_a_wide_table_is_broken_into_blocks_that_fit(tmp_path):
    run = start_run(tmp_path)
    for name in ("gsm8k", "math", "gpqa", "mmlu_pro", "mmlu", "ifeval"):
        add_eval(run, name, [1, 0, 1, 0], marks=("sample-data", "item-limit"))
        add_eval(
            run, name, [1, 0, 1, 1], arm="sso", iteration=1, marks=("sample-data", "item-limit")
        )
    table = iteration_table(load_runs([run]))
    text = render(table, width=60)
    assert max(map(len, text.splitlines())) <= 60
    heads = [line for line in text.splitlines() if line.startswith("Method")]
    assert len(heads) == 2
    shown = [word for line in heads for word in line.split()[2:]]
    assert shown == ["GPQA", "MMLU-Pro", "MATH", "GSM8K", "MMLU", "IFEval"]
    assert text.count("SSO     Iter1") == 2
    assert len([line for line in render(table).splitlines() if line.startswith("Method")]) == 1
