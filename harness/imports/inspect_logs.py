"""Results of Inspect: its evaluation logs, ``.eval`` (a zip archive) or ``.json``.

Each scorer of a log is one set of figures; the first one's first share (accuracy, as a rule) stands for
the benchmark. Items come from the samples, averaged over epochs.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from harness.data.sources import DataSource
from harness.imports.result import (
    ImportedResult,
    benchmark_of,
    figure,
    imported_mark,
    info_of,
    is_share,
    object_of,
    short,
)
from leaderboards.records import ItemScore, Score

LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Inspect's values of a sample: correct, incorrect, partially correct, no answer."""
ZSTANDARD = 93
"""The number of Zstandard among the compression methods of zip archives (APPNOTE 4.4.5)."""
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
"""What stands before a member's name; its last two fields are the lengths of name and extra field."""
LARGEST_MEMBER = 512 * 1024 * 1024
"""Bytes of one file in a log that is read; a larger one is taken for an attack."""
LARGEST_LOG = 8 << 30
"""Bytes of all files in a log."""


def read(path: Path, data: DataSource) -> list[ImportedResult]:
    """The results of a log, or of all logs below a folder (of one task run twice, the last created).

    Raises:
        UserError: no log, a file that is none, or a run that did not succeed.
    """
    logs = [path] if path.is_file() else sorted([*path.rglob("*.eval"), *path.rglob("*.json")])
    if not logs:
        raise UserError(f"{path} holds no log of Inspect (*.eval or *.json)")
    found: dict[tuple[str, str], tuple[str, ImportedResult]] = {}
    for file in logs:
        header, samples = _opened(file)
        created = str(header["eval"].get("created") or "")
        result = _result(file, header, samples)
        key = result.model, result.benchmark
        if key not in found or found[key][0] <= created:
            found[key] = created, result
    return [result for _, result in found.values()]


def _opened(file: Path) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """The log without its samples, and the samples (or their summaries)."""
    if not zipfile.is_zipfile(file):
        header = object_of(file, "a log of Inspect")
        return _checked(file, header), list(header.get("samples") or [])
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        if sum(member.file_size for member in archive.infolist()) > LARGEST_LOG:
            raise UserError(f"{file}: unpacks to more than {LARGEST_LOG >> 30} GB")
        if "header.json" not in names:
            raise UserError(f"{file} is not a finished log of Inspect: it holds no header.json")
        header = _checked(file, _member(file, archive, "header.json"))
        if "summaries.json" in names:
            return header, list(_member(file, archive, "summaries.json"))
        inner = sorted(n for n in names if n.startswith("samples/") and n.endswith(".json"))
        return header, [_member(file, archive, name) for name in inner]


def _member(file: Path, archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > LARGEST_MEMBER:
        raise UserError(f"{file}: {name} unpacks to more than {LARGEST_MEMBER >> 20} MiB")
    try:
        return json.loads(_bytes(file, archive.getinfo(name), archive))
    except (ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(f"{file}: {name} can't be read ({error})") from None


def _bytes(file: Path, member: zipfile.ZipInfo, archive: zipfile.ZipFile) -> bytes:
    """A member's contents, also of those that Inspect compresses with Zstandard, which zipfile lacks."""
    if member.compress_type != ZSTANDARD:
        return archive.read(member)
    import zstandard

    with file.open("rb") as raw:
        raw.seek(member.header_offset + LOCAL_HEADER.size - 4)
        raw.seek(sum(struct.unpack("<HH", raw.read(4))), 1)
        packed = raw.read(member.compress_size)
    try:
        with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
            found = reader.read(member.file_size)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    if zlib.crc32(found) != member.CRC:
        raise ValueError("wrong checksum")
    return bytes(found)


def _checked(file: Path, header: Any) -> Mapping[str, Any]:
    known = isinstance(header, dict) and isinstance(header.get("eval"), dict)
    if not known or "task" not in header["eval"]:
        raise UserError(f"{file} is not a log of Inspect: no 'eval' with a task")
    if header.get("status") != "success" or not (header.get("results") or {}).get("scores"):
        raise UserError(
            f"{file}: the evaluation did not end with scores (status {header.get('status')!r})"
        )
    return dict(header)


def _result(
    file: Path, header: Mapping[str, Any], samples: list[Mapping[str, Any]]
) -> ImportedResult:
    spec, results = header["eval"], header["results"]
    benchmark = benchmark_of(str(spec["task"]))
    n, total = int(results.get("completed_samples") or 0), int(results.get("total_samples") or 0)
    in_set = int((spec.get("dataset") or {}).get("samples") or 0)
    epochs = int((spec.get("config") or {}).get("epochs") or 1)
    limited = ("item-limit",) if in_set * epochs > total else ()
    info = info_of(benchmark)
    scores: list[Score] = []
    for entry in results["scores"]:
        metrics = {k: m for k, m in (entry.get("metrics") or {}).items() if isinstance(m, dict)}
        stderr = (metrics.pop("stderr", None) or {}).get("value")
        for name, metric in metrics.items():
            value = figure(metric.get("value"), name)
            if value is None:
                continue
            headline = not scores and is_share(name)
            own = figure(stderr, name) if name in ("accuracy", "mean") else None
            score = Score(
                benchmark=benchmark,
                metric=str(entry["name"])
                if name in ("accuracy", "mean")
                else f"{entry['name']}_{name}",
                value=value,
                stderr=own,
                unit="percent" if is_share(name) else "points",
                n=n,
                n_expected=total,
                n_error=max(0, total - n),
                protocol=f"inspect:{spec['task']}@{spec.get('task_version', 0)}/{entry['name']}",
                settings=_settings(spec),
                data="inspect",
                marks=(imported_mark("Inspect"), *limited),
                headline=headline,
            )
            info_score = info.of_score(score.metric, headline)
            scores.append(score.model_copy(update={"info": info_score}))
    if not scores:
        raise UserError(f"{file}: no figure in the results")
    version = str((spec.get("packages") or {}).get("inspect_ai") or "")
    items = tuple(_items(benchmark, samples))
    return ImportedResult(str(spec.get("model")), benchmark, tuple(scores), items, file, version)


def _settings(spec: Mapping[str, Any]) -> dict[str, str]:
    return short(
        {
            "task_args": spec.get("task_args"),
            "dataset": (spec.get("dataset") or {}).get("name"),
            "epochs": (spec.get("config") or {}).get("epochs"),
            "generate": spec.get("model_generate_config"),
        }
    )


def _items(benchmark: str, samples: list[Mapping[str, Any]]) -> Iterator[ItemScore]:
    values: dict[str, dict[str, list[float]]] = {}
    errors: dict[str, str] = {}
    for sample in samples:
        name = f"{benchmark}/{sample.get('id')}"
        own = values.setdefault(name, {})
        if sample.get("error"):
            errors[name] = "the sample ended with an error"
        for scorer, given in (sample.get("scores") or {}).items():
            value = given.get("value") if isinstance(given, dict) else None
            value = LETTERS.get(value, value) if isinstance(value, str) else value
            if isinstance(value, (bool, int, float)):
                own.setdefault(str(scorer), []).append(float(value))
    for name, own in values.items():
        means = {scorer: sum(given) / len(given) for scorer, given in own.items()}
        yield ItemScore(benchmark=benchmark, item_id=name, values=means, error=errors.get(name, ""))
