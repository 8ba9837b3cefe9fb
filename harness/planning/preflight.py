"""A training that can't fit stops the run before it starts, with the smallest change that fits."""

from __future__ import annotations

from pathlib import Path

from groundwork.errors import UserError
from groundwork.files import read_json
from harness.config import RunConfig
from harness.planning.memory import Placement, group_tokens, smallest_change, training_memory
from harness.planning.offline import training_kind
from harness.planning.shapes import Shape, shape_from
from sso.arms import get_arm
from sso.launch import find_layout


def check_memory(config: RunConfig, model: Path) -> None:
    """Compare every training step's estimate with the memory of a device here (or of this machine).

    A model of unknown form is let through.

    Raises:
        UserError: a step that needs more, and what to set.
    """
    try:
        shape = shape_from(read_json(model / "config.json"))
    except UserError:
        return
    problems = []
    for arm in map(get_arm, config.methods):
        trained = [step.name for step in arm.steps if step.kind == "train"]
        for step in trained:
            kind = training_kind(arm, step, len(trained))
            problems.append(_problem(config, model, shape, step, kind))
    if found := dict.fromkeys(p for p in problems if p):
        raise UserError("\n".join(found))


def _problem(config: RunConfig, model: Path, shape: Shape, step: str, kind: str) -> str:
    training = config.training.of_step(step)
    layout = find_layout(config.launch, training, model)
    limit, gpu = device_memory()
    place = Placement(layout.world, layout.sharded, config.launch.cpu_offload, gpu)
    tokens = group_tokens(training, kind, config.sampling.max_new_tokens)
    share = limit if gpu else limit / layout.devices
    needed = training_memory(shape, training, place, tokens).total
    if needed <= share:
        return ""
    change = smallest_change(shape, training, place, tokens, share)
    where = "a GPU has" if gpu else "there are for each process"
    return f"training the {step} needs about {needed / 1e9:.1f} GB, {where} {share / 1e9:.1f}: " + (
        f"set {change}" if change else "use more or larger devices"
    )


def device_memory() -> tuple[float, bool]:
    """Bytes of the first GPU and True, else of this machine and False."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.get_device_properties(0).total_memory), True
    return float(psutil.virtual_memory().total), False
