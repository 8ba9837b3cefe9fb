"""Finished stages of other run folders, taken over instead of being run again: what several tables share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from groundwork.errors import UserError
from harness.plan import changes, input_fingerprints
from harness.run_folder import RunFolder, StageRecord
from harness.stage import Stage


def adopt(
    run: RunFolder, stage: Stage, records: Mapping[str, StageRecord], others: Sequence[RunFolder]
) -> str:
    """Copy the stage from the first of ``others`` that has it finished with the same settings, seed and
    inputs; returns that folder's name, or "". Files are linked where the file system can: outputs are
    never changed in place."""
    inputs = input_fingerprints(stage, records)
    for other in others:
        theirs = other.stage(stage.id)
        try:
            record = theirs.record()
        except UserError:
            continue
        if record is None or record.status != "done" or record.pruned:
            continue
        if changes(record, stage, inputs) or theirs.damage(record):
            continue
        _copy(theirs.path, run.stage(stage.id).path)
        return other.root.name
    return ""


def _copy(source: Path, target: Path) -> None:
    """Beside the target first, so that a kill leaves no half stage."""
    partial = target.with_name(f".{target.name}.adopted")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, partial, copy_function=_link)
    partial.rename(target)


def _link(source: str, target: str) -> str:
    if Path(source).name == "stage.json":
        return str(shutil.copy2(source, target))
    try:
        os.link(source, target)
        return target
    except OSError:
        return str(shutil.copy2(source, target))
