"""Finished stages of other run folders, taken over instead of being run again: what several tables share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from groundwork.errors import UserError
from harness.plan import changes, input_fingerprints
from harness.run_folder import RunFolder, StageRecord, copy_stage
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
        copy_stage(theirs.path, run.stage(stage.id).path)
        return other.root.name
    return ""
