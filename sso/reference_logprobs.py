"""Reference log-probabilities: computed once, from the starting weights, kept in a file.

No second model stays in memory. The file outlives a killed run: a resumed training, whose weights have
moved on, reads the references that its first start computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundwork.files import write_atomic
from sso.batches import MicroBatch
from sso.encoding import EncodedGroup

References = Mapping[str, Tensor]
"""Group id -> float32 log-probabilities (nats) of its completion tokens, in the group's order."""


def compute_references(
    score: Callable[[MicroBatch], Tensor],
    batches: Sequence[MicroBatch],
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Tensor]:
    """Score every batch without gradients; ``progress`` gets the number of groups done."""
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        for batch in batches:
            found.update(split_by_group(score(batch).float().cpu(), batch.groups))
            progress(len(found))
    return found


def split_by_group(logps: Tensor, groups: Sequence[EncodedGroup]) -> dict[str, Tensor]:
    """Cut the (N,) log-probabilities of a micro-batch into one tensor per group."""
    parts = logps.split([group.completion_tokens for group in groups])
    return {group.id: part.clone() for group, part in zip(groups, parts, strict=True)}


def save_references(references: References, file: Path) -> None:
    """Write to ``file`` at once or not at all."""
    from safetensors.torch import save

    write_atomic(file, save(dict(references)))


def load_references(file: Path, groups: Sequence[EncodedGroup]) -> dict[str, Tensor] | None:
    """The references of exactly these groups, or None where the file has not all of them."""
    from safetensors.torch import load_file

    if not file.is_file():
        return None
    found: dict[str, Any] = load_file(file)
    fit = all(
        group.id in found and len(found[group.id]) == group.completion_tokens for group in groups
    )
    return found if fit else None
