"""Signs of a cell and the lines under a table."""

from leaderboards.formats.marking import footer, heads, note_keys, signs
from leaderboards.table import Cell, Group, Row, Table


def table(*cells, **fields):
    rows = (Group("", (Row(("SSO",), cells),)),)
    names = tuple(f"c{n}" for n in range(len(cells)))
    return Table("t", ("Method",), names, names, rows, **fields)


def test_signs_of_a_cell():
    assert signs(Cell(1.0, versus_base=1, versus_previous=-1)) == "▲▽"
    assert signs(Cell(1.0)) == ""
    assert note_keys(Cell(1.0, notes=("a", "b"))) == "a,b"


def test_only_the_legend_that_is_needed():
    assert footer(table(Cell(1.0))) == []
    lines = footer(
        table(Cell(1.0, 0.5, versus_base=-1), Cell(2.0, rank=1, stderr=0.1), reference="org/a")
    )
    assert [line.split()[0] for line in lines] == ["±", "Bold:", "▲▼"]
    assert "worse than org/a" in lines[2]


def test_detectable_differences_and_notes():
    found = footer(
        table(Cell(1.0), Cell(2.0), detectable=("3.1", "4.0*"), notes=(("a", "text"),),
              shared_notes=("one", "two"), remarks=("last",))
    )  # fmt: skip
    assert found == [
        "Smallest detectable difference (80 % power, two-sided 5 %, paired by item; * unpaired): "
        "c0 3.1, c1 4.0*.",
        "All figures: one; two.",
        "[a] text",
        "last",
    ]


def test_heads_carry_the_notes_of_their_column():
    assert heads(table(Cell(1.0), Cell(2.0), column_notes=(("a", "b"), ()))) == ["c0 [a,b]", "c1"]
