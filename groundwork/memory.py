"""Memory of this process: its peak, and handing freed memory back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any


class PeakMemory:
    """Peak memory since creation in GB (10^9 bytes): resident memory of this process, or with
    ``cuda=True`` the most that was allocated on the GPU."""

    def __init__(self, *, cuda: bool = False) -> None:
        self.cuda = cuda
        if cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        elif os.access("/proc/self/clear_refs", os.W_OK):
            # "5" resets the high-water mark of this process's resident memory (proc(5))
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def gigabytes(self) -> float:
        """The peak so far."""
        if self.cuda:
            import torch

            return torch.cuda.max_memory_allocated() / 1e9
        status = Path("/proc/self/status")
        if status.is_file():
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024 / 1e9
        import resource

        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9


def return_memory() -> None:
    """Hand freed memory back to the system now (glibc keeps it otherwise; elsewhere nothing).

    Under ``kept_memory`` a heap keeps the pages of every size that it has held.
    """
    if sys.platform.startswith("linux") and hasattr(libc(), "malloc_trim"):
        libc().malloc_trim(0)


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Let freed tensors stay with the process while training, and give them back at the end.

    glibc maps and unmaps every large tensor; the page faults of a training step, as many as its
    activations have pages, cost a CPU a third of its time and more. Without glibc this does nothing.
    """
    if not sys.platform.startswith("linux") or not hasattr(libc(), "mallopt"):
        yield
        return
    most = 32 << 20  # the most that glibc takes, and where its own adjustment ends up
    _memory_thresholds(most, (1 << 31) - 1)
    try:
        yield
    finally:
        _memory_thresholds(most, 2 * most)  # setting one has turned the adjustment off


def _memory_thresholds(mapped: int, trimmed: int) -> None:
    """From how many bytes on a block is mapped apart, and how many free ones at the end are kept."""
    mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
    libc().mallopt(mmap_threshold, mapped)
    libc().mallopt(trim_threshold, trimmed)
    libc().malloc_trim(0)


@lru_cache(maxsize=1)
def libc() -> Any:
    """The C library of this process."""
    return ctypes.CDLL(None)
