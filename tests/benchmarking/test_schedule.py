"""The simulated schedule, by hand: what runs beside what, and who waits."""

from __future__ import annotations

import pytest

from benchmarking.schedule import Task, in_sequence, report, side_by_side
from harness.planning.devices import parse_machines


def task(name: str, *after: str, work: float = 80.0, least: int = 1, judging: float = 0.0) -> Task:
    return Task(name, after, lambda devices: work / devices, 10.0, judging, least)


def test_in_sequence_every_stage_has_all_devices() -> None:
    found = in_sequence([task("a"), task("b", "a", judging=5.0)], 8)
    assert [(s.start, s.released, s.end) for s in found.slots] == [(0, 20, 20), (20, 40, 45)]
    assert found.makespan == 45
    assert found.busy == pytest.approx(2 * 80 / (45 * 8))
    assert found.held == pytest.approx(2 * 8 * 20 / (45 * 8))


def test_equal_stages_share_the_devices_and_judging_holds_none() -> None:
    judge = Task("judge", ("a",), None, 0.0, 7.0)
    found = side_by_side([task("a"), task("b"), judge], 8)
    slots = {s.id: s for s in found.slots}
    assert (slots["a"].devices, slots["a"].end) == (4, 30)
    assert (slots["b"].devices, slots["b"].end) == (4, 30)
    assert (slots["judge"].start, slots["judge"].devices, slots["judge"].end) == (30, 0, 37)


def test_a_stage_that_needs_all_devices_is_not_starved_by_small_ones() -> None:
    plan = [
        task("small", work=40.0),
        *(task(f"later-{n}", "small", work=400.0) for n in range(2)),
        task("large", work=800.0, least=8),
        task("after", "large", work=800.0, least=8),
    ]
    found = {s.id: s for s in side_by_side(plan, 8).slots}
    assert (found["large"].start, found["large"].devices) == (0, 8)  # the longest line goes first
    assert found["after"].start == found["large"].released
    assert min(found[f"later-{n}"].start for n in range(2)) >= found["after"].released


def test_what_waits_for_nothing_that_comes_is_an_error() -> None:
    with pytest.raises(ValueError, match="a waits for a stage that is not there"):
        side_by_side([task("a", "x")], 8)
    with pytest.raises(ValueError, match="fits nowhere"):
        side_by_side([task("a", least=9)], 8)


def test_the_published_table_is_no_slower_side_by_side_and_no_faster_than_its_longest_chain() -> (
    None
):
    _, found = report("v1-table1", parse_machines("8x8xH100"))
    one, many = found["one after another"], found["side by side"]
    assert isinstance(one, dict)
    assert isinstance(many, dict)
    assert found["critical path"] <= many["makespan"] < one["makespan"]  # type: ignore[operator]
    for schedule in (one, many):
        names = [slot["id"] for slot in schedule["slots"]]
        assert len(names) == len(set(names))
        assert 0 < schedule["busy"] < schedule["held"] <= 1
        for slot in schedule["slots"]:
            held = [
                s["devices"]
                for s in schedule["slots"]
                if s["start"] <= slot["start"] < s["released"]
            ]
            assert sum(held) <= 64
