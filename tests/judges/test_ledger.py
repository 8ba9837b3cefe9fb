"""One budget for several processes: what is spent and set aside is known to all."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from pathlib import Path

from judges.prices import Budget, Price
from judges.request import JudgeRequest
from judges.store import ScopeLedger, VerdictStore
from judges.unreadable import Unreadable
from tests.judges.test_store import row

PRICE = Price(0.0, 1_000_000.0)
REQUEST = JudgeRequest([], {"max_tokens": 1}, "p")
"""Costs at most 1 dollar."""


def budget(store: VerdictStore, **limits: float) -> Budget:
    return Budget(PRICE, ledger=ScopeLedger(store, "run"), **limits)  # type: ignore[arg-type]


def test_two_stores_of_one_file_share_a_budget(tmp_path: Path) -> None:
    stores = [VerdictStore(tmp_path / "v.sqlite") for _ in range(2)]
    one, two = (budget(store, max_cost=3.0) for store in stores)
    assert [one.reserve(REQUEST), two.reserve(REQUEST), one.reserve(REQUEST)] == [1.0, 1.0, 1.0]
    assert two.reserve(REQUEST) is None
    stores[0].put([row("a", cost_usd=0.5)])
    one.settle(1.0, 0.5)
    assert two.reserve(REQUEST) is None, "2.5 dollars are spent or set aside"
    one.settle(1.0, None)
    assert two.reserve(REQUEST) == 1.0
    assert (two.calls, two.cost) == (1, 0.5)


def test_calls_are_bounded_too(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path / "v.sqlite")
    bound = budget(store, max_calls=2)
    assert [bound.reserve(REQUEST) is None for _ in range(3)] == [False, False, True]


def _reserve_and_die(path: Path) -> None:
    budget(VerdictStore(path), max_cost=1.0).reserve(REQUEST)
    os._exit(9)


def test_a_dead_process_holds_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    store = VerdictStore(path)
    child = multiprocessing.get_context("fork").Process(target=_reserve_and_die, args=(path,))
    child.start()
    child.join()
    assert budget(store, max_cost=1.0).reserve(REQUEST) == 1.0


def test_unreadable_replies_are_paid_for(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path / "v.sqlite")
    store.put([row("a", cost_usd=0.5), row("b", scope="other", cost_usd=9.0)])
    store.put_unreadable(Unreadable("c", "j", "run", "no JSON", b"<html>", cost_usd=0.25))
    assert store.spent("run") == (2, 0.75)
    assert store.unreadable()[0].raw == b"<html>"
    store.put([row("a", cost_usd=0.5)])
    assert store.spent("run") == (2, 0.75), "a reply that is there already costs nothing"


def test_a_store_of_an_earlier_release_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    store = VerdictStore(path)
    store.put([row("a", cost_usd=0.5), row("b", cost_usd=0.25), row("c", cost_usd=float("inf"))])
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE spending")
    assert VerdictStore(path).spent("run") == (3, 0.75)
