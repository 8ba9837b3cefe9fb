"""How many processes a training gets, and whether they share the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from groundwork.errors import UserError
from sso.settings import LaunchSettings, TrainingSettings

COPY_BYTES = 20
"""Bytes per weight of a full copy under DDP: weight, gradient, two moments, and the gradient in DDP's buckets."""
COPY_SHARE = 0.6
"""Of a device's memory that a full copy may take; the rest is for activations."""


@dataclass(frozen=True)
class Layout:
    """Processes on each of ``nodes`` machines; ``sharded``: a part of the model each (FSDP2)."""

    devices: int
    nodes: int = 1
    sharded: bool = False

    @property
    def world(self) -> int:
        return self.devices * self.nodes


def find_layout(settings: LaunchSettings, training: TrainingSettings, model: Path) -> Layout:
    """The layout that the settings ask for here.

    Raises:
        UserError: more devices than this machine has.
    """
    import torch

    visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = (visible or 1) if settings.devices == "auto" else int(settings.devices)
    if visible and devices > visible:
        raise UserError(
            f"launch.devices is {devices}, but {visible} GPUs are visible: set launch.devices={visible}"
        )
    world = devices * settings.nodes
    if world == 1 or settings.strategy != "auto":
        return Layout(devices, settings.nodes, settings.strategy == "fsdp" and world > 1)
    if not visible or training.lora.rank:
        return Layout(devices, settings.nodes)
    from sso.checkpoints import count_weights

    memory = torch.cuda.get_device_properties(0).total_memory
    return Layout(devices, settings.nodes, COPY_BYTES * count_weights(model) > COPY_SHARE * memory)
