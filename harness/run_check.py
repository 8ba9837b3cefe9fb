"""A whole run folder verified: every record, every output, every journal and mid-stage checkpoint.

Nothing is changed. What is found to be damaged is redone by the next start of the same command.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from groundwork.checksums import folder_damage
from groundwork.errors import UserError
from groundwork.files import digest
from harness.run_folder import REPLACED, STAGE_FILE, RunFolder, StageFolder

JOURNAL = "generations.jsonl"


@dataclass
class RunCheck:
    """What a check found.

    Attributes:
        stages, files, bytes: how much was read.
        damage: what is wrong, with its place.
        notes: what is no damage: unfinished stages, leftovers, records without checksums.
    """

    stages: int = 0
    files: int = 0
    bytes: int = 0
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_run(root: Path) -> RunCheck:
    """Read all of a run folder and compare it with its records.

    Raises:
        UserError: it is no run folder, or one of a newer release.
    """
    run = RunFolder(root)
    found = RunCheck()
    damaged = run.description_damage()
    if run.description() is None and not damaged:
        raise UserError(f"not a run folder (it has no run.json): {root}")
    if damaged:
        found.damage.append(damaged)
    for folder in sorted({file.parent for file in root.rglob(STAGE_FILE)} | _orphans(root)):
        name = folder.relative_to(root).as_posix()
        if not any(part.startswith(".") for part in name.split("/")):
            _check_stage(run.stage(name), name, found)
    aside = sorted((root / REPLACED).rglob(STAGE_FILE)) if (root / REPLACED).is_dir() else []
    found.notes += [
        f"{file.parent.relative_to(root)}: earlier results, until the new ones are done"
        for file in aside
    ]
    left = [*root.rglob(".*.tmp"), *root.rglob("*.partial"), *root.rglob(".*.damaged")]
    found.notes += [f"{path.relative_to(root)}: left by a killed writer" for path in sorted(left)]
    return found


def _orphans(root: Path) -> set[Path]:
    """Folders of planned stages that have files and no record."""
    description = RunFolder(root).description() or {}
    planned = description.get("stages")
    names = [str(name) for name in planned] if isinstance(planned, list) else []
    return {root / name for name in names if (root / name).is_dir()}


def _check_stage(folder: StageFolder, name: str, found: RunCheck) -> None:
    found.stages += 1
    record = folder.record()
    if record is None:
        if what := folder.record_damage():
            found.damage.append(f"{name}: {what}")
        return
    if record.status != "done":
        found.notes.append(f"{name}: unfinished, goes on at the next start")
    outputs = {**record.outputs, **record.shown}
    for file, what in folder_damage(folder.path, outputs, record.pruned, afresh=True).items():
        found.damage.append(f"{name}: {file} {what}")
    found.files += len(outputs)
    found.bytes += sum(int(o.get("bytes", 0)) for o in outputs.values())
    if bad := _damaged_lines(folder.path / JOURNAL):
        found.damage.append(f"{name}: {JOURNAL} has {bad} damaged lines")
    _check_checkpoints(folder.path / "work", name, found)


def _damaged_lines(journal: Path) -> int:
    """Lines of a journal of answers that are not as they were written; a torn end is none."""
    if not journal.is_file():
        return 0
    bad = 0
    with journal.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n") or not line.strip():
                continue
            try:
                row = json.loads(line)
                bad += "sum" in row and row.pop("sum") != digest(row)
            except (ValueError, TypeError, AttributeError, RecursionError):
                bad += 1
    return bad


def _check_checkpoints(work: Path, name: str, found: RunCheck) -> None:
    from sso.checkpoint_seal import checkpoint_damage

    for folder in sorted((work / "checkpoints").glob("checkpoint-*")):
        if what := checkpoint_damage(folder, work):
            found.damage.append(f"{name}: {folder.name}: {what}")
