"""Markdown, and HTML beside it."""

from leaderboards import render_table


def test_markdown_and_html_mark_best_and_second(run):
    text = render_table([run], format="md")
    assert "| SSO | Iter2 | - | **65.0** ±3.4▲△ |" in text
    html = render_table([run], format="html")
    assert "<strong>65.0</strong> <small>±3.4</small>" in html
    assert 'data-value="65.0"' in html
