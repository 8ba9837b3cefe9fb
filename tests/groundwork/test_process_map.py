"""One function over many items, in several processes: results in order, items as they are needed."""

from __future__ import annotations

import os
import signal

import pytest

from groundwork.errors import UserError
from groundwork.process_map import BATCH, process_map
from groundwork.stored import Lazy


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def die(number: int) -> int:
    if number == BATCH:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise UserError(f"item {number} can't be read")


def test_results_are_in_order_and_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []
    items = Lazy(20 * BATCH, lambda n: taken.append(n) or n)
    results = process_map(double, items, least=2, processes=2)
    first = next(results)
    assert len(taken) < 10 * BATCH
    found = [first, *results]
    assert [value for value, _ in found] == [2 * n for n in range(20 * BATCH)]
    assert os.getpid() not in {process for _, process in found}


def test_few_items_and_one_core_stay_in_this_process() -> None:
    for least, processes in ((3, 2), (1, 1)):
        found = list(process_map(double, [1, 2], least=least, processes=processes))
        assert found == [(2, os.getpid()), (4, os.getpid())]


def test_a_killed_process_is_one_line_not_a_wait() -> None:
    with pytest.raises(UserError, match="one of 2 processes"):
        list(process_map(die, range(10 * BATCH), least=2, processes=2))


def test_an_error_of_the_work_comes_through() -> None:
    with pytest.raises(UserError, match="item 0 can't be read"):
        list(process_map(refuse, range(3), least=2, processes=2))
