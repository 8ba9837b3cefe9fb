"""The peak is this process's own, and survives that the memory is freed again."""

from __future__ import annotations

import numpy as np

from groundwork.memory import PeakMemory, kept_memory, return_memory


def test_peak_holds_what_was_freed_before_it_is_read() -> None:
    peak = PeakMemory()
    before = peak.gigabytes()
    block = np.ones(40_000_000)  # 0.32 GB, every page written
    del block
    assert peak.gigabytes() - before > 0.25


def test_a_new_peak_forgets_the_old_one() -> None:
    old = PeakMemory()
    block = np.ones(40_000_000)
    del block
    peak = old.gigabytes()
    return_memory()
    assert PeakMemory().gigabytes() < peak - 0.2


def test_kept_memory_ends_with_its_block_also_after_an_error() -> None:
    try:
        with kept_memory():
            raise KeyError
    except KeyError:
        pass
    peak = PeakMemory()
    block = np.ones(40_000_000)
    del block  # with the thresholds still up this would stay with the process
    high = peak.gigabytes()
    return_memory()
    assert PeakMemory().gigabytes() < high - 0.2
