"""Where data come from: ``sample`` (shipped), a local folder, or the hub's local copy.

All three have one layout, a folder per benchmark: ``gsm8k/test.jsonl``, ``math/math_500.jsonl``, ...
Files may be gzipped.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groundwork.files import numbered_json_lines, read_bytes, read_json_list, read_text
from harness.data.parquet import parquet_rows
from harness.errors import DataError


@dataclass(frozen=True)
class DataSource:
    """A folder of benchmark data. ``label`` names it in scores (it is not a path).

    A file that ``root`` lacks is looked for in ``fallback``.
    """

    kind: Literal["sample", "dir", "hub"]
    root: Path
    revision: str = ""
    fallback: Path | None = None

    @property
    def label(self) -> str:
        """``sample@1``, ``dir`` or ``hub@revision``."""
        return f"{self.kind}@{self.revision}" if self.revision else self.kind

    def find(self, *alternatives: str) -> Path | None:
        """The first of the relative paths that exists (as it is or gzipped), else ``None``."""
        for root in filter(None, (self.root, self.fallback)):
            for name in alternatives:
                for candidate in (root / name, root / f"{name}.gz"):
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

    def numbered_rows(
        self, *alternatives: str, required: Sequence[str] = ()
    ) -> list[tuple[int, dict[str, Any]]]:
        """As ``rows``, each with the number of its line."""
        return numbered_rows(self.path(*alternatives), required)

    def fingerprint(self, *alternatives: str) -> str:
        """Short sha256 of the file's contents, the same gzipped or not."""
        return hashlib.sha256(read_bytes(self.path(*alternatives))).hexdigest()[:16]


def read_rows(path: Path, required: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of a JSONL, JSON (a list) or CSV file, gzipped or not, or of a parquet file.

    Raises:
        UserError: not parseable, no objects, or a row without a required field (file and line).
    """
    return [row for _, row in numbered_rows(path, required)]


def numbered_rows(path: Path, required: Sequence[str] = ()) -> list[tuple[int, dict[str, Any]]]:
    """As ``read_rows``, each with its line (blank lines count) or its place in a list or table."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".csv"):
        numbered = _csv_rows(path)
    elif name.endswith(".json"):
        numbered = list(enumerate(read_json_list(path), 1))
    elif name.endswith(".parquet"):
        numbered = list(enumerate(parquet_rows(path), 1))
    else:
        numbered = list(numbered_json_lines(path))
    for number, row in numbered:
        for field in required:
            if row.get(field) is None:
                raise DataError(f"{path}:{number}: the row has no field {field!r}")
    return numbered


def _csv_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        return list(enumerate(reader, 2))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: no CSV row ({error})") from None
