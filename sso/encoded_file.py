"""Encoded groups on disk: one process encodes, all of a training read the file.

The file holds the token ids (int32, little-endian) one after another, then a JSON head that says what they are,
then the byte at which the head begins (8 bytes). In memory is the head; ids are read when they are used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from groundwork.files import replacing
from groundwork.stored import OpenFile
from sso.encoding import Encoded, EncodedBranch, EncodedGroup, EncodedPair

IDS = np.dtype("<i4")


class Ids(Sequence[int]):
    """Token ids that lie in a file; they equal the tuple of them, and are written as it is."""

    __slots__ = ("_count", "_file", "_start")

    def __init__(self, file: OpenFile, start: int, count: int) -> None:
        self._file, self._start, self._count = file, start, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[int, ...]: ...
    def __getitem__(self, index: int | slice) -> int | tuple[int, ...]:
        return self._read()[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, tuple | Ids) and len(other) == self._count
        return same and self._read() == tuple(other)  # type: ignore[arg-type]

    def __hash__(self) -> int:
        return hash(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def _read(self) -> tuple[int, ...]:
        size = IDS.itemsize
        read = self._file.read(size * self._start, size * self._count)
        return tuple(np.frombuffer(read, IDS).tolist())


def save_encoded(groups: Iterable[EncodedGroup], counts: Mapping[str, int], file: Path) -> None:
    """Write to ``file`` at once or not at all; one group is in memory, and ``counts`` is read after the last."""
    heads: list[dict[str, Any]] = []
    with replacing(file) as stream:
        for group in groups:
            shape = []
            for branch in group.branches:
                texts = (branch.prompt, *branch.completions)
                for text in texts:
                    stream.write(np.fromiter(text, IDS, len(text)).tobytes())
                shape.append([len(text) for text in texts])
            pairs = {r: [p.id, p.branch, p.chosen, p.rejected] for r, p in group.pairs.items()}
            heads.append({"id": group.id, "branches": shape, "pairs": pairs})
        begin = stream.tell()
        stream.write(json.dumps({"groups": heads, "counts": dict(counts)}).encode())
        stream.write(begin.to_bytes(8, "little"))


def load_encoded(path: Path) -> Encoded:
    """What ``save_encoded`` wrote; the file may be replaced or removed meanwhile."""
    file, size = OpenFile(path), path.stat().st_size
    begin = int.from_bytes(file.read(size - 8, 8), "little")
    head = json.loads(file.read(begin, size - 8 - begin))
    groups, start = [], 0
    for group in head["groups"]:
        branches = []
        for lengths in group["branches"]:
            texts = []
            for length in lengths:
                texts.append(Ids(file, start, length))
                start += length
            branches.append(EncodedBranch(texts[0], tuple(texts[1:])))
        pairs = {role: EncodedPair(*where) for role, where in group["pairs"].items()}
        groups.append(EncodedGroup(group["id"], tuple(branches), pairs))
    return Encoded(tuple(groups), head["counts"])
