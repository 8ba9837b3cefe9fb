"""Encoded groups on disk: one process encodes, the others of a training read the file."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from groundwork.files import write_atomic
from sso.encoding import Encoded, EncodedBranch, EncodedGroup, EncodedPair


def save_encoded(encoded: Encoded, file: Path) -> None:
    """Write to ``file`` at once or not at all."""
    import io

    texts: list[tuple[int, ...]] = []
    groups: list[dict[str, Any]] = []
    for group in encoded.groups:
        shape = []
        for branch in group.branches:
            texts += [branch.prompt, *branch.completions]
            shape.append(len(branch.completions))
        pairs = {r: [p.id, p.branch, p.chosen, p.rejected] for r, p in group.pairs.items()}
        groups.append({"id": group.id, "branches": shape, "pairs": pairs})
    head = json.dumps({"groups": groups, "counts": dict(encoded.counts)}).encode()
    buffer = io.BytesIO()
    np.savez(
        buffer,
        ids=np.fromiter((i for text in texts for i in text), dtype=np.int32),
        ends=np.cumsum([0, *map(len, texts)]),
        head=np.frombuffer(head, dtype=np.uint8),
    )
    write_atomic(file, buffer.getvalue())


def load_encoded(file: Path) -> Encoded:
    """What ``save_encoded`` wrote."""
    with np.load(file, allow_pickle=False) as content:
        head = json.loads(content["head"].tobytes())
        ids, ends = content["ids"], content["ends"]
    texts = (tuple(ids[start:end].tolist()) for start, end in pairwise(ends.tolist()))
    groups = []
    for group in head["groups"]:
        branches = tuple(
            EncodedBranch(next(texts), tuple(next(texts) for _ in range(count)))
            for count in group["branches"]
        )
        pairs = {role: EncodedPair(*where) for role, where in group["pairs"].items()}
        groups.append(EncodedGroup(group["id"], branches, pairs))
    return Encoded(tuple(groups), head["counts"])
