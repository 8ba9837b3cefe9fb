"""Reference log-probabilities: computed once, from the starting weights, kept in a file.

No second model stays in memory. The file outlives a killed run: a resumed training, whose weights have
moved on, reads the references that its first start computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from groundwork.files import write_atomic
from sso.batches import MicroBatch
from sso.encoding import EncodedGroup

DIGEST = "sha256"
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

    whole = {group: tensor.contiguous() for group, tensor in references.items()}
    write_atomic(file, save(whole, metadata={DIGEST: _digest(whole)}))


def load_references(file: Path, groups: Sequence[EncodedGroup]) -> dict[str, Tensor] | None:
    """The references of exactly these groups, or None where the file is damaged or has not all."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as stream:
            found = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            recorded = (stream.metadata() or {}).get(DIGEST)
    except (SafetensorError, OSError):
        return None
    if recorded != _digest(found):
        return None
    fit = all(
        group.id in found and len(found[group.id]) == group.completion_tokens for group in groups
    )
    return found if fit else None


def _digest(references: References) -> str:
    whole = hashlib.sha256()
    for group in sorted(references):
        whole.update(f"{group} ".encode("utf-8", "surrogatepass"))
        whole.update(references[group].float().numpy().tobytes())
    return whole.hexdigest()
