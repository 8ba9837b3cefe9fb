"""Where the notes of a table stand."""

from leaderboards.footnotes import hoist_column_notes, reason
from leaderboards.table import Cell, Group, Row


def placed(*rows):
    """Rows of (value, notes) cells."""
    made = tuple(Row((), tuple(Cell(value, notes=notes) for value, notes in row)) for row in rows)
    return hoist_column_notes([Group("", made)], len(rows[0]))


def notes_of(found):
    return [[cell.notes for cell in row.cells] for group in found.groups for row in group.rows]


def test_a_note_of_every_figure_stands_under_the_table():
    found = placed([(1.0, ("all", "left")), (2.0, ("all",))], [(3.0, ("all", "left")), (None, ())])
    assert found.shared == ("all",)
    assert found.columns == (("a",), ())
    assert found.notes == (("a", "left"),)
    assert notes_of(found) == [[(), ()], [(), ()]]


def test_a_note_of_one_figure_stays_with_it():
    found = placed([(1.0, ("one",)), (2.0, ())], [(3.0, ()), (4.0, ())])
    assert found.shared == ()
    assert notes_of(found) == [[("a",), ()], [(), ()]]


def test_a_table_of_one_column_keeps_its_notes_in_the_head():
    found = placed([(1.0, ("all",))], [(2.0, ("all",))])
    assert (found.shared, found.columns) == ((), (("a",),))


def test_keys_go_on_after_z():
    found = placed([(1.0, tuple(f"note {n}" for n in range(28))), (2.0, ())])
    assert [key for key, _ in found.notes][24:] == ["y", "z", "aa", "ab"]


def test_reasons_in_words():
    assert reason("item-limit") == "a sample of the items, not the whole benchmark"
    assert reason("made-up") == "made-up"
