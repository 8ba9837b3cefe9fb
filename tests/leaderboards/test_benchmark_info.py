"""What a score carries of its benchmark."""

from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn

INFO = BenchmarkInfo(
    "Riddles",
    (InfoColumn("riddles", "RID", 15), InfoColumn("riddle_length", "Len", 16, "length", better=0)),
    minimum_effect=3.0,
    gated=True,
)


def test_the_headline_has_its_column_and_the_smallest_loss_that_matters():
    found = INFO.of_score("strict", headline=True)
    assert (found.column, found.label, found.order) == ("riddles", "RID", 15)
    assert (found.minimum_effect, found.better, found.gated) == (3.0, 1, True)


def test_another_metric_has_its_own_column_or_none():
    length = INFO.of_score("length", headline=False)
    assert (length.column, length.better, length.minimum_effect) == ("riddle_length", 0, None)
    other = INFO.of_score("flexible", headline=False)
    assert (other.column, other.title, other.gated) == ("", "Riddles", True)
