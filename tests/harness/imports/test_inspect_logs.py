"""Logs of Inspect, as JSON and as archives; damaged and hostile ones."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.data.sources import DataSource
from harness.imports import inspect_logs
from harness.imports.inspect_logs import read

NO_DATA = DataSource("dir", Path())
SAMPLES = [
    {"id": k, "epoch": 1, "scores": {"match": {"value": value, "answer": "x"}}}
    for k, value in enumerate("CCIP", 1)
]


def log(**more: Any) -> dict[str, Any]:
    score = {
        "name": "match",
        "scorer": "match",
        "metrics": {
            "accuracy": {"name": "accuracy", "value": 0.625},
            "stderr": {"name": "stderr", "value": 0.2},
        },
    }
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "task": "inspect_evals/gsm8k",
            "task_version": "2-A",
            "model": "openai/some-model",
            "created": "2026-01-02T00:00:00+00:00",
            "dataset": {"name": "gsm8k", "samples": 100},
            "config": {"epochs": 1, "limit": 4},
            "packages": {"inspect_ai": "0.3.1"},
        },
        "results": {"total_samples": 4, "completed_samples": 4, "scores": [score]},
        **more,
    }


def archive(path: Path, header: dict[str, Any], samples: list[dict[str, Any]]) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("header.json", json.dumps(header))
        for sample in samples:
            out.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    return path


@pytest.mark.parametrize("form", ["json", "eval"])
def test_figures_and_items(tmp_path: Path, form: str) -> None:
    if form == "json":
        (tmp_path / "log.json").write_text(json.dumps(log(samples=SAMPLES)))
    else:
        archive(tmp_path / "log.eval", log(), SAMPLES)
    (result,) = read(tmp_path, NO_DATA)
    assert (result.model, result.benchmark, result.version) == (
        "openai/some-model",
        "gsm8k",
        "0.3.1",
    )
    (score,) = result.scores
    assert (score.value, score.stderr, score.n, score.headline) == (62.5, 20.0, 4, True)
    assert score.protocol == "inspect:inspect_evals/gsm8k@2-A/match"
    assert score.marks == ("imported: prompts and grading of Inspect", "item-limit")
    assert [item.values["match"] for item in result.items] == [1.0, 1.0, 0.0, 0.5]


def test_epochs_are_averaged(tmp_path: Path) -> None:
    twice = [*SAMPLES, {"id": 3, "epoch": 2, "scores": {"match": {"value": "C"}}}]
    (tmp_path / "log.json").write_text(json.dumps(log(samples=twice)))
    assert read(tmp_path, NO_DATA)[0].items[2].values["match"] == 0.5


def test_an_unfinished_log_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps(log(status="cancelled")))
    with pytest.raises(UserError, match=r"did not end with scores .status 'cancelled'"):
        read(tmp_path, NO_DATA)
    (tmp_path / "log.json").write_text('{"eval": 3}')
    with pytest.raises(UserError, match="is not a log of Inspect: no 'eval' with a task"):
        read(tmp_path, NO_DATA)


def test_a_member_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "log.eval", log(metadata={"x": "0" * 5000}), SAMPLES)
    monkeypatch.setattr(inspect_logs, "LARGEST_MEMBER", 4096)
    with pytest.raises(UserError, match=r"log.eval: header.json unpacks to more than"):
        read(path, NO_DATA)


def zstandard_archive(path: Path, contents: bytes) -> None:
    """An archive of one member, ``header.json``, compressed as Inspect does and zipfile can't."""
    import zstandard

    packed = zstandard.ZstdCompressor().compress(contents)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("header.json", packed)
    raw = bytearray(path.read_bytes())
    sizes = struct.pack("<3I", zlib.crc32(contents), len(packed), len(contents))
    for mark, method, crc in ((b"PK\3\4", 8, 14), (b"PK\1\2", 10, 16)):
        start = raw.index(mark)
        raw[start + method : start + method + 2] = struct.pack("<H", 93)
        raw[start + crc : start + crc + 12] = sizes
    path.write_bytes(raw)


def test_members_compressed_with_zstandard_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    zstandard_archive(path, json.dumps(log()).encode())
    assert read(path, NO_DATA)[0].scores[0].value == 62.5
    raw = bytearray(path.read_bytes())
    raw[60] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"log.eval: header.json can't be read"):
        read(path, NO_DATA)
