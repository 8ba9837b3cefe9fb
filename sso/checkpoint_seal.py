"""Mid-stage checkpoints with a seal: what a resumed training relies on is whole, or is not used.

The seal is written when a checkpoint is complete, and holds the checksums of all its files, of the
reference log-probabilities and of the curve up to then. A damaged or half-written checkpoint falls
back to the one before it; an optimizer or a schedule is never begun anew beside trained weights.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundwork.checksums import describe, folder_damage, is_whole, sealed
from groundwork.errors import UserError
from groundwork.files import read_json, write_json

SEAL = "checksums.json"
CURVE = "curve.jsonl"
REFERENCES = "references.safetensors"


def seal_checkpoint(folder: Path, work: Path) -> None:
    """Write the seal of a complete checkpoint; one process does, after all have written."""
    files = {
        path.relative_to(folder).as_posix(): describe(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SEAL
    }
    curve = work / CURVE
    text = curve.read_bytes() if curve.is_file() else b""
    beside = {REFERENCES: describe(work / REFERENCES)} if (work / REFERENCES).is_file() else {}
    seal = {
        "step": int(json.loads((folder / "trainer_state.json").read_text())["global_step"]),
        "files": files,
        "beside": beside,
        "curve": {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()},
    }
    write_json(folder / SEAL, sealed(seal))


def newest_whole(work: Path) -> Path | None:
    """The newest whole checkpoint below ``work / "checkpoints"``, with the curve cut to its step.

    Those that are not whole are removed; a damaged one is a warning.
    """
    found: list[tuple[int, Path, Mapping[str, Any]]] = []
    for folder in (work / "checkpoints").glob("checkpoint-*"):
        seal = _seal(folder)
        what = _damage(folder, work, seal) if seal is not None else ""
        if seal is None or what:
            if what or (folder / SEAL).exists():
                logging.getLogger(__name__).warning(
                    "%s was damaged (%s): not resumed from", folder, what or SEAL
                )
            shutil.rmtree(folder, ignore_errors=True)
        else:
            found.append((int(seal["step"]), folder, seal))
    if not found:
        return None
    _, newest, whole = max(found, key=lambda entry: entry[0])
    _cut(work / CURVE, whole["curve"]["bytes"])
    return newest


def checkpoint_damage(folder: Path, work: Path) -> str:
    """Why a mid-stage checkpoint can't be resumed from; empty where it can."""
    seal = _seal(folder)
    return "half written, or its seal is damaged" if seal is None else _damage(folder, work, seal)


def _seal(folder: Path) -> dict[str, Any] | None:
    """A checkpoint's seal; ``None`` where it is missing, damaged or something else."""
    try:
        seal = read_json(folder / SEAL)
    except UserError:
        return None
    names = {"step", "files", "beside", "curve", "checksum"}
    return seal if is_whole(seal) and names <= set(seal) else None


def _damage(folder: Path, work: Path, seal: Mapping[str, Any]) -> str:
    damaged = folder_damage(folder, seal["files"]) | folder_damage(work, seal["beside"])
    if damaged:
        return ", ".join(f"{name} {what}" for name, what in list(damaged.items())[:2])
    size = seal["curve"]["bytes"]
    text = (work / CURVE).read_bytes()[:size] if (work / CURVE).is_file() else b""
    same = hashlib.sha256(text).hexdigest() == seal["curve"]["sha256"]
    return "" if same else f"{CURVE} is damaged"


def _cut(curve: Path, size: int) -> None:
    if curve.is_file():
        with curve.open("r+b") as stream:
            stream.truncate(size)
