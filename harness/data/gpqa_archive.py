"""GPQA's questions, without ever putting them on disk in the clear.

The authors publish the set as a password-protected archive and its password beside it, so that
crawlers don't pick the questions up. The archive stays as it is in the data folder; its members are
read in memory. A user who has the CSV files in the folder already is served from those.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.data.sources import DataSource
from harness.errors import DataError

ARCHIVE = "gpqa/dataset.zip"
PASSWORD = b"deserted-untie-orchid"
"""Documented by the authors in their repository's README."""
MOST_BYTES = 64 << 20
"""Of one member; the largest of the real archive has 6 MB."""
SUBSETS = {"main": 448, "extended": 546, "diamond": 198}
"""Rows of each subset."""


def gpqa_file(data: DataSource, subset: str) -> str:
    """The file that ``read_gpqa`` will read, relative to the data folder (for fingerprints).

    Raises:
        DataError: an unknown subset, or neither the CSV file nor the archive is there.
    """
    if subset not in SUBSETS:
        raise DataError(f"GPQA has no subset {subset!r} (there are: {', '.join(SUBSETS)})")
    name = f"gpqa/gpqa_{subset}.csv"
    if data.find(name):
        return name
    if data.find(ARCHIVE):
        return ARCHIVE
    raise DataError(
        f"no {name} and no {ARCHIVE} in {data.root}: `sso-bench data get gpqa --to DIR` fetches the "
        "authors' archive, or takes yours with --gpqa-zip FILE"
    )


def read_gpqa(data: DataSource, subset: str, required: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of a subset (``main``, ``extended``, ``diamond``) with the official columns, in order.

    Row ``i`` stands in line ``i + 2`` of the CSV at the earliest (fields can span lines).

    Raises:
        DataError: no data, an archive that can't be read, or a row without a required column;
            messages name file and row, never a text.
    """
    name = gpqa_file(data, subset)
    path = data.path(name)
    if name != ARCHIVE:
        return data.rows(name, required=required)
    rows = read_member(path, subset)
    for number, row in enumerate(rows, 2):
        for column in required:
            if row.get(column) is None:
                raise DataError(f"{path}: gpqa_{subset}.csv:{number}: the row has no {column!r}")
    return rows


def read_member(archive: Path, subset: str) -> list[dict[str, Any]]:
    """Rows of ``gpqa_SUBSET.csv`` in the archive, decrypted in memory.

    Raises:
        DataError: not a zip file, no such member, or another password.
    """
    wanted = f"gpqa_{subset}.csv"
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if name.split("/")[-1] == wanted]
            if not names:
                raise DataError(f"{archive} holds no {wanted}: not the official archive")
            with opened.open(names[0], pwd=PASSWORD) as member:
                data = member.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                raise DataError(f"{archive}: {wanted} unpacks to more than {MOST_BYTES >> 20} MB")
            text = data.decode("utf-8-sig")
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError):
        raise DataError(f"{archive} is not the official archive: {wanted} is unreadable") from None
    except RuntimeError:
        raise DataError(f"{archive}: the published password does not open {wanted}") from None
    try:
        return list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise DataError(f"{archive}: {wanted} is no CSV file ({error})") from None
