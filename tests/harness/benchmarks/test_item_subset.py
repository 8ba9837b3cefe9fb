"""The seeded, stratified sample of items."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.benchmarks.item_subset import draw

ITEMS = [f"{'ab' if n % 3 else 'c'}{n}" for n in range(30)]  # 20 of stratum a, 10 of stratum c


def stratum(item: str) -> str:
    return item[0]


@pytest.mark.parametrize("limit", [1, 3, 10, 29])
def test_every_stratum_has_its_share_in_file_order(limit: int) -> None:
    found = draw(ITEMS, stratum, limit, 0)
    assert len(found) == limit
    assert found == sorted(found, key=ITEMS.index)
    counts = Counter(map(stratum, found))
    assert abs(counts["a"] - 2 * limit / 3) < 1
    assert abs(counts["c"] - limit / 3) < 1


def test_the_seed_alone_decides() -> None:
    assert draw(ITEMS, stratum, 9, 1) == draw(ITEMS, stratum, 9, 1)
    assert draw(ITEMS, stratum, 9, 1) != draw(ITEMS, stratum, 9, 2)


@pytest.mark.parametrize("limit", [None, 30, 31])
def test_no_limit_keeps_all(limit: int | None) -> None:
    assert draw(ITEMS, stratum, limit, 0) == ITEMS
