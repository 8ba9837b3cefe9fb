"""Plain text for a terminal."""

from leaderboards import render_table


def test_terminal_colours_are_optional(run):
    assert "\x1b[" not in render_table([run], color=False)
    assert "\x1b[1m65.0\x1b[0m" in render_table([run], color=True)
