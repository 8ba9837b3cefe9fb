"""Mid-stage checkpoints: weights, optimizer and schedule, sharded, for any number of processes.

Written by ``torch.distributed.checkpoint``, each process its shards: what two processes wrote, one or four
go on from. Frozen weights are left out.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STATE = "state"


def save_state(folder: Path, model: Any, optimizer: Any) -> None:
    """Write the trained weights and the optimizer below ``folder``; every process must call it."""
    import torch.distributed.checkpoint as dcp

    weights, moments = _state(model, optimizer)
    content = {"model": weights, "optimizer": moments}
    with _one_process_is_fine():
        dcp.save(content, checkpoint_id=folder / STATE, no_dist=not _distributed())


def load_state(folder: Path, model: Any, optimizer: Any) -> None:
    """Put what ``save_state`` wrote into model and optimizer; every process must call it."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import set_state_dict

    weights, moments = _state(model, optimizer)
    content = {"model": weights, "optimizer": moments}
    with _one_process_is_fine():
        dcp.load(content, checkpoint_id=folder / STATE, no_dist=not _distributed())
    set_state_dict(
        model,
        optimizer,
        model_state_dict=content["model"],
        optim_state_dict=content["optimizer"],
        options=_options(strict=False),
    )


@contextlib.contextmanager
def _one_process_is_fine() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _state(model: Any, optimizer: Any) -> tuple[Any, Any]:
    from torch.distributed.checkpoint.state_dict import get_state_dict

    return get_state_dict(model, optimizer, options=_options())


def _options(*, strict: bool = True) -> Any:
    from torch.distributed.checkpoint.state_dict import StateDictOptions

    return StateDictOptions(ignore_frozen_params=True, strict=strict)


def _distributed() -> bool:
    import torch

    return torch.distributed.is_available() and torch.distributed.is_initialized()
