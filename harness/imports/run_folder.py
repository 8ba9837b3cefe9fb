"""Imported results laid out as run folders: the evaluations of a starting model."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from groundwork.files import file_sha256, write_json
from harness.imports.result import ImportedResult
from harness.run_folder import SCHEMA, RunFolder, StageRecord, now
from harness.stages.results import write_results


def write_runs(tool: str, results: Sequence[ImportedResult], out: Path) -> list[Path]:
    """One run folder per model; ``out`` itself where there is one model, else ``out/MODEL``.

    Everything is written beside ``out`` first and moved into place at the end.

    Raises:
        UserError: no result, one benchmark twice for one model, or a folder that is in use.
    """
    if not results:
        raise UserError("nothing to import")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists: choose another --out")
    by_model: dict[str, dict[str, ImportedResult]] = {}
    for result in results:
        earlier = by_model.setdefault(result.model, {}).setdefault(result.benchmark, result)
        if earlier is not result:
            raise UserError(
                f"{result.benchmark} of {result.model} is in {earlier.source} and in {result.source}: "
                "name one of them"
            )
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.tmp")
    names = _folder_names(by_model)
    try:
        for model, own in by_model.items():
            folder = fresh if len(by_model) == 1 else fresh / names[model]
            _write(tool, model, list(own.values()), folder, out.name)
        if out.exists():
            out.rmdir()
        fresh.rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [out] if len(by_model) == 1 else [out / names[model] for model in by_model]


def _folder_names(models: Sequence[str] | dict[str, Any]) -> dict[str, str]:
    """A folder's name for each model, unlike each other."""
    found: dict[str, str] = {}
    for model in models:
        name = re.sub(r"[^\w.-]+", "-", model).strip(".-")[:80] or "model"
        while name in found.values():
            name += "-2"
        found[model] = name
    return found


def _write(
    tool: str, model: str, results: Sequence[ImportedResult], folder: Path, name: str
) -> None:
    run = RunFolder(folder)
    stages = [f"base/eval/{re.sub(r'[^A-Za-z0-9_.-]+', '-', r.benchmark)}" for r in results]
    for stage, result in zip(stages, results, strict=True):
        place = run.stage(stage)
        place.path.mkdir(parents=True, exist_ok=True)
        scores = [
            score.model_copy(update={"arm": "base", "model": model}) for score in result.scores
        ]
        write_results(place.path, result.items, scores)
        record = StageRecord(
            stage=stage,
            kind="eval",
            fingerprint="",
            inputs={"imported": file_sha256(result.source)},
            settings={"imported_from": tool, "file": result.source.name},
            status="done",
            versions={tool: result.version} if result.version else {},
            started=now(),
            counts={"items": len(result.items)},
            outputs=place.outputs(),
        )
        place.write(record)
    write_json(
        folder / "run.json",
        {
            "schema": SCHEMA,
            "id": uuid.uuid4().hex,
            "name": name,
            "created": now(),
            "imported_from": tool,
            "config": {"imported_from": tool},
            "model": model,
            "data": tool,
            "arms": [],
            "iterations": 0,
            "seeds": [0],
            "benchmarks": [result.benchmark for result in results],
            "stages": stages,
        },
    )
