"""Sequences whose items are made when they are asked for: from a file's lines, or by a function.

A stage with many long texts keeps them in its files and goes over these; in memory is where each line lies.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel, ValidationError

from groundwork.errors import UserError
from groundwork.records import first_problem

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
BLOCK = 1 << 15
"""Bytes that are read at a time to find a line's end."""


class Lazy(Sequence[T], Generic[T]):
    """``make(0)`` to ``make(size - 1)``, made anew at each access; equal to any sequence of equal items."""

    def __init__(self, size: int, make: Callable[[int], T]) -> None:
        self._size, self._make = size, make

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Lazy[T]: ...
    def __getitem__(self, index: int | slice) -> T | Lazy[T]:
        if isinstance(index, slice):
            return chosen(self, range(self._size)[index])
        return self._make(range(self._size)[index])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, range(self._size))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def chosen(items: Sequence[T], places: Sequence[int]) -> Lazy[T]:
    """The items at ``places``, in that order."""
    return Lazy(len(places), lambda n: items[places[n]])


def joined(*parts: Sequence[T]) -> Lazy[T]:
    """The items of all parts, one part after the other."""
    ends = list(accumulate(map(len, parts)))

    def make(place: int) -> T:
        part = bisect_right(ends, place)
        return parts[part][place - ends[part]]  # counted from the part's end

    return Lazy(ends[-1] if ends else 0, make)


class ByKey(Mapping[str, T], Generic[T]):
    """A mapping of keys to the items of a sequence of the same length; keys are in memory, items are not."""

    def __init__(self, keys: Sequence[str], items: Sequence[T]) -> None:
        self._places = {key: place for place, key in enumerate(keys)}
        self._items = items

    def __getitem__(self, key: str) -> T:
        return self._items[self._places[key]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places


class OpenFile:
    """A file that stays open as long as it is used, read at any place by any thread.

    Raises:
        UserError: it can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, start: int, count: int) -> bytes:
        """Up to ``count`` bytes from the byte ``start`` on."""
        return os.pread(self._descriptor, count, start)


class LineFile(OpenFile):
    """A file of lines; it may grow meanwhile."""

    def line(self, place: int) -> bytes:
        """The line that begins at that byte, with its end."""
        found = b""
        while block := self.read(place + len(found), BLOCK):
            end = block.find(b"\n") + 1
            found += block[:end] if end else block
            if end:
                break
        return found

    def starts(self, numbers: Collection[int] | None = None) -> array[int]:
        """Where the lines with these numbers (from 1) begin, in bytes; without numbers, those that are not blank."""
        wanted = None if numbers is None else set(numbers)
        found, place = array("q"), 0
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip() if wanted is None else number in wanted:
                    found.append(place)
                place += len(line)
        return found


def stored_records(path: Path, kind: type[Model]) -> Lazy[Model]:
    """The records of a file that ``write_records`` wrote, read one by one as they are asked for.

    Raises:
        UserError: no such file, or, when it is read, a line that is no record of this kind (file and line).
    """

    def parse(line: bytes) -> Model:
        try:
            return kind.model_validate_json(line)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None

    return _stored(path, parse)


def stored_rows(path: Path, numbers: Collection[int] | None = None) -> Lazy[dict[str, Any]]:
    """The objects of a file of JSON lines (on the lines with these numbers, from 1), read one by one as they are
    asked for.

    Raises:
        UserError: no such file, or, when it is read, a line that is no JSON object (file and line).
    """

    def parse(line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"not valid JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise ValueError(f"expected an object, found {type(row).__name__}")
        return row

    return _stored(path, parse, numbers)


def _stored(
    path: Path, parse: Callable[[bytes], T], numbers: Collection[int] | None = None
) -> Lazy[T]:
    file = LineFile(path)
    starts = file.starts(numbers)

    def read(number: int) -> T:
        try:
            return parse(file.line(starts[number]))
        except (ValueError, RecursionError) as error:
            line = 1
            with path.open("rb") as stream:
                while stream.tell() < starts[number] and stream.readline():
                    line += 1
            raise UserError(f"{path}:{line}: {error}") from None

    return Lazy(len(starts), read)


def digest_of_rows(*sets: Sequence[Any]) -> str:
    """``groundwork.files.digest`` of the list of a set's rows, of several sets of the list of such lists; a row
    at a time is in memory."""
    whole = hashlib.sha256()
    outer = len(sets) > 1
    for number, rows in enumerate(sets):
        whole.update((b", [" if number else b"[[") if outer else b"[")
        for place, row in enumerate(rows):
            text = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
            whole.update((", " if place else "").encode() + text.encode("utf-8", "surrogatepass"))
        whole.update(b"]")
    whole.update(b"]" if outer else b"")
    return whole.hexdigest()[:16]
