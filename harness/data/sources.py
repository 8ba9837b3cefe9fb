"""Where data come from: ``sample`` (shipped), a local folder, or the hub's local copy.

All three have one layout, a folder a benchmark: ``gsm8k/test.jsonl``, ``math/math_500.jsonl``, ...
Files may be gzipped.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import DataError


@dataclass(frozen=True)
class DataSource:
    """A folder of benchmark data. ``label`` names it in scores (it is not a path)."""

    kind: Literal["sample", "dir", "hub"]
    root: Path
    revision: str = ""

    @property
    def label(self) -> str:
        """``sample@1``, ``dir`` or ``hub@revision``."""
        return f"{self.kind}@{self.revision}" if self.revision else self.kind

    def find(self, *alternatives: str) -> Path | None:
        """The first of the relative paths that exists (as it is or gzipped), else ``None``."""
        for name in alternatives:
            for candidate in (self.root / name, self.root / f"{name}.gz"):
                if candidate.is_file():
                    return candidate
        return None

    def path(self, *alternatives: str) -> Path:
        """As ``find``, but a missing file is an error that names the nearest one there is."""
        found = self.find(*alternatives)
        if found is not None:
            return found
        folder = self.root / Path(alternatives[0]).parent
        others = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        have = f" (there: {', '.join(others[:6])})" if others else ""
        raise DataError(f"no {' or '.join(alternatives)} in {self.root}{have}")

    def rows(self, *alternatives: str, required: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Rows of a JSONL, JSON or CSV file; each must have the ``required`` fields."""
        return read_rows(self.path(*alternatives), required)

    def fingerprint(self, *alternatives: str) -> str:
        """Short sha256 of the file's contents, the same gzipped or not."""
        return hashlib.sha256(read_bytes(self.path(*alternatives))).hexdigest()[:16]


def read_bytes(path: Path) -> bytes:
    """Contents of a file, unpacked where it is gzipped."""
    data = path.read_bytes()
    try:
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        raise DataError(f"{path} is not a valid gzip file") from error


def read_rows(path: Path, required: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of a JSONL, JSON (a list) or CSV file, gzipped or not.

    Raises:
        DataError: not parseable, no objects, or a row without a required field (file and line).
    """
    try:
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text") from error
    name = path.name.removesuffix(".gz")
    if name.endswith(".csv"):
        numbered = list(enumerate(csv.DictReader(io.StringIO(text)), 2))
    elif name.endswith(".json"):
        numbered = list(enumerate(_json_list(path, text), 1))
    else:
        numbered = _json_lines(path, text)
    for number, row in numbered:
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected an object, found {type(row).__name__}")
        for field in required:
            if row.get(field) is None:
                raise DataError(f"{path}:{number}: the row has no field {field!r}")
    return [row for _, row in numbered]


def _json_list(path: Path, text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from error
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of objects")
    return value


def _json_lines(path: Path, text: str) -> list[tuple[int, Any]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append((number, json.loads(line)))
            except json.JSONDecodeError as error:
                raise DataError(f"{path}:{number}: not valid JSON ({error.msg})") from error
    return rows
