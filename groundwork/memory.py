"""Memory of this process: its peak, and handing freed memory back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
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
    """Hand freed memory back to the system now (glibc keeps it otherwise; elsewhere nothing)."""
    if sys.platform.startswith("linux") and hasattr(libc(), "malloc_trim"):
        libc().malloc_trim(0)


@lru_cache(maxsize=1)
def libc() -> Any:
    """The C library of this process."""
    return ctypes.CDLL(None)
