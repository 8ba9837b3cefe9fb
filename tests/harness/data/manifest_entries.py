"""Manifest entries of small files, and their contents."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from harness.data.manifest import DataFile

ROWS = b"".join(b'{"question": "q%d", "answer": "#### %d"}\n' % (n, n) for n in range(40))


GITHUB = "/openai/grade-school-math/v1/test.jsonl"


HUB = "/datasets/some/set/resolve/main/data/test.parquet"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(sha256: str | None = sha(ROWS), **changes: Any) -> DataFile:
    given = {
        "path": "gsm8k/test.jsonl",
        "host": "github",
        "repo": "openai/grade-school-math",
        "revision": "v1",
        "sources": [{"path": "test.jsonl", "sha256": sha256}],
        "rows": 40,
        "fields": ["question", "answer"],
        "licence": "MIT",
        "megabytes": 0.1,
    }
    return DataFile.model_validate({**given, **changes})


def parquet_entry(**changes: Any) -> DataFile:
    given = {
        "path": "mmlu/dev.jsonl",
        "host": "hub",
        "repo": "some/set",
        "revision": "main",
        "sources": [{"path": "data/test.parquet"}],
        "convert": "rows",
        "rows": 2,
        "fields": ["question", "choices"],
    }
    return entry(**{**given, **changes})


def parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return out.getvalue()


def left_over(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if ".partial" in p.parts)
