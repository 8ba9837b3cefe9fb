"""From run folders to the text of a table."""

from pathlib import Path

import pytest

from groundwork.errors import UserError
from leaderboards import render_table
from leaderboards.formats import FORMATS
from leaderboards.render import format_of


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


def test_a_published_table_by_its_name():
    text = render_table(["v2:table1"], format="csv")
    assert text.splitlines()[0].startswith("model,loss,method,ae2_lc,")
    assert "Qwen2-7B-SFT" in text
