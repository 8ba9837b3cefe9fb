"""Scores finished stages again whose items failed: only the verdicts that failed are asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from harness.news import found
from harness.progress import Reporter
from harness.resources import Resources
from harness.run_folder import RunFolder
from harness.stage import Stage, StageContext
from harness.stage_runner import finish_record, input_path
from harness.stages.errors import failed_items


def failed_stages(run: RunFolder, plan: Sequence[Stage]) -> dict[str, int]:
    """The number of items that failed in scoring, by finished stage."""
    counts = {s.id: failed_items(run.stage(s.id).path) for s in plan if s.rescore is not None}
    return {stage: count for stage, count in counts.items() if count}


def failures(failed: Mapping[str, int]) -> list[str]:
    """The line about failed items; none where there are none."""
    total = sum(failed.values())
    if not total:
        return []
    more = f" and {len(failed) - 1} more stages" if len(failed) > 1 else ""
    return [
        f"{_items(total)} failed in scoring ({next(iter(failed))}{more}): the same line with "
        "--retry-errors asks again"
    ]


def retry_errors(
    run: RunFolder, plan: Sequence[Stage], resources: Resources, reporter: Reporter
) -> list[str]:
    """Score the stages with failed items again; their ids. All stages of the plan are done. Until a stage is
    scored its earlier results lie aside, and the next start takes them back; nothing is generated."""
    retried = []
    for stage in plan:
        failed = failed_items(run.stage(stage.id).path) if stage.rescore else 0
        if failed and _retry(run, stage, failed, resources, reporter):
            retried.append(stage.id)
    return retried


def _retry(
    run: RunFolder, stage: Stage, failed: int, resources: Resources, reporter: Reporter
) -> bool:
    folder = run.stage(stage.id)
    with run.claims.holding(stage.id) as claim:
        record = folder.record()
        if claim is None or record is None or stage.rescore is None:
            return False
        reporter.say(f"{stage.id}: {_items(failed)} failed: asked again")
        folder.set_copy_aside()
        record.status = "running"
        folder.write(record)
        started = time.monotonic()
        inputs = {name: input_path(run, source) for name, source in stage.inputs.items()}
        with reporter.stage(stage.id) as update:
            result = stage.rescore(StageContext(stage, folder.path, inputs, resources, update))
        record.seconds += round(time.monotonic() - started, 3)
        record.cost_usd += float(result.cost_usd)
        finish_record(folder, record, result, claim)
    mended = failed - failed_items(folder.path)
    reporter.say(f"{stage.id}: {mended} of {failed} mended; {found(stage, folder.path, record)}")
    return True


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"
