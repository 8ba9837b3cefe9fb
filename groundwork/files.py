"""Files: written whole or not at all, and read with file and line in every error."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from groundwork.errors import UserError

MOST_UNPACKED = 2 << 30
"""Bytes that a packed file may hold: a small one can unpack to any number."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` when the block ends, synced to disk.

    A reader sees the old file or the whole new one. After an exception the old one stays. The
    temporary file beside it starts with a dot and ends in ``.tmp``.

    Raises:
        UserError: the folder can't be made or written to.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} can't be written: it is a folder or a device, not a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a name of its own for each writer
        descriptor, name = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"{path} can't be written: {error.strerror}") from None
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fchmod(handle.fileno(), 0o666 & ~_umask())  # as open() would have made it
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_atomic(path: Path, content: str | bytes) -> None:
    """Put ``content`` in place whole (text as UTF-8)."""
    with replacing(path) as handle:
        handle.write(content if isinstance(content, bytes) else encode(content))


def write_json(path: Path, value: Any) -> None:
    """``value`` as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Lines of text (serialised JSON, usually), atomically; an iterator is not held in memory."""
    with replacing(path) as handle:
        for line in lines:
            handle.write(encode(f"{line}\n"))


def write_json_lines(path: Path, rows: Iterable[Any]) -> int:
    """One JSON value per line, atomically; returns how many."""
    count = 0
    with replacing(path) as handle:
        for row in rows:
            handle.write(encode(json.dumps(row, ensure_ascii=False) + "\n"))
            count += 1
    return count


def encode(text: str) -> bytes:
    """Text as UTF-8, also with lone surrogates, which JSON strings read back as they were."""
    # A lone surrogate has no UTF-8 form; backslashreplace writes what JSON reads back as it was.
    return text.encode("utf-8", "backslashreplace")


def read_bytes(path: Path) -> bytes:
    """Contents of a file, unpacked where its name ends in ``.gz``.

    Raises:
        UserError: the file is missing, unreadable, no gzip file, or one that unpacks to more than
            ``MOST_UNPACKED``.
    """
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as stream:
            data = stream.read(MOST_UNPACKED + 1)
        if len(data) > MOST_UNPACKED:
            raise UserError(f"{path}: unpacks to more than {MOST_UNPACKED >> 30} GB")
        return data
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def read_text(path: Path) -> str:
    """A UTF-8 file (gzipped where it ends in ``.gz``), without a byte-order mark.

    Raises:
        UserError: the file is missing, unreadable or not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason})") from None


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file one by one, without their ends and a byte-order mark; a packed one is read whole.

    Only "\n" ends a line: JSON strings may hold U+2028 and its like, which splitlines would cut.

    Raises:
        UserError: as ``read_text``.
    """
    if path.suffix == ".gz":
        yield from read_text(path).split("\n")
        return
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream):
                yield line.removesuffix(b"\n").decode("utf-8" if number else "utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason})") from None


def read_json(path: Path) -> Any:
    """A parsed JSON file.

    Raises:
        UserError: the file is missing or not JSON.
    """
    return _parse(read_text(path), str(path))


def read_json_list(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON list.

    Raises:
        UserError: the file is missing or no such list.
    """
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: not a list of objects")
    return rows


def numbered_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line that is not empty.

    Raises:
        UserError: the file is missing, or a line is not a JSON object; names file and line.
    """
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        row = _parse(line, f"{path}:{number}")
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: expected an object, found {type(row).__name__}")
        yield number, row


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file. Raises as ``numbered_json_lines``."""
    return [row for _, row in numbered_json_lines(path)]


def numbered_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a JSON list (numbered from 1) or of JSON lines (with their line numbers), told
    apart by the first character.

    Raises:
        UserError: the file is missing, or neither; names the row or line.
    """
    first = next((line.lstrip() for line in text_lines(path) if line.strip()), "")
    if not first.startswith("["):
        return list(numbered_json_lines(path))
    return list(enumerate(read_json_list(path), 1))


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f":{error.lineno}" if error.lineno > 1 else ""
        raise UserError(f"{place}{line}: not valid JSON ({error.msg})") from None
    except (RecursionError, ValueError) as error:  # too deep, or a number of too many digits
        raise UserError(f"{place}: not usable JSON ({error})") from None


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, as hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(value: Any) -> str:
    """The first 16 hexadecimal digits of the sha256 of a JSON-able value, whatever its key order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def json_form(value: Any) -> Any:
    """``value`` as it looks after a round trip through JSON (tuples become lists, and so on)."""
    return json.loads(json.dumps(value, default=str))
