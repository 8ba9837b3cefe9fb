"""The processes of a training: this one's number, and what the first one does for all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """Process ``rank`` of ``world``; ``device`` is where its model belongs."""

    rank: int
    world: int
    device: str

    @classmethod
    def join(cls) -> Ranks:
        """Meet the other processes, if the launcher started several (``WORLD_SIZE``)."""
        import torch

        gpu = torch.cuda.is_available()
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(0, 1, "cuda" if gpu else "cpu")
        from accelerate import PartialState

        state = PartialState(cpu=not gpu)
        return cls(state.process_index, state.num_processes, str(state.device))

    @property
    def first(self) -> bool:
        return self.rank == 0

    def from_first(self, make: Callable[[], T]) -> T:
        """What ``make`` returns, or raises, in the first process, in all of them."""
        if self.world == 1:
            return make()
        import torch

        box: list[Any] = [None, None]
        if self.first:
            try:
                box = [make(), None]
            except Exception as error:
                box = [None, error]
        torch.distributed.broadcast_object_list(box, src=0)
        if box[1] is not None:
            raise box[1]
        found: T = box[0]
        return found

    def gathered(self, value: T) -> list[T]:
        """Every process's value, by rank."""
        if self.world == 1:
            return [value]
        import torch

        found: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(found, value)
        return found
