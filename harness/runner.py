"""Runs a plan: skips what is done and still valid, redoes what changed, and says why."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from groundwork.files import digest
from harness.progress import Reporter
from harness.resources import Session
from harness.run_folder import RunFolder, StageFolder, StageRecord, now
from harness.stage import SCRATCH, Source, Stage, StageRun, readers

PACKAGES = ("sso-bench", "torch", "transformers", "lm_eval", "alpaca_eval", "fschat")


@dataclass
class RunSummary:
    """What a run did: stages done now, stages found done, and seconds of work by stage."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Runner:
    """Executes a plan in one run folder. The caller holds the folder's lock."""

    def __init__(
        self, run: RunFolder, plan: Sequence[Stage], session: Session, reporter: Reporter
    ) -> None:
        self.run = run
        self.plan = plan
        self.session = session
        self.reporter = reporter
        self.records: dict[str, StageRecord] = {}

    def execute(self) -> RunSummary:
        """Run every stage that is not done; returns what was done."""
        summary = RunSummary()
        for position, stage in enumerate(self.plan, 1):
            reason = self._reason_to_run(stage)
            if reason is None:
                summary.skipped.append(stage.id)
                continue
            self._restore_inputs(stage, summary)
            label = f"[{position}/{len(self.plan)}] {stage.id}"
            self.reporter.say(f"{label}: {reason}")
            record = self._run(stage, label)
            summary.done.append(stage.id)
            summary.seconds += record.seconds
            self._prune()
        return summary

    def status(self, stage: Stage) -> str | None:
        """Why the stage would run now, ``None`` when it is done (for plans; nothing is changed).

        Stages whose inputs are not there yet count as to be run."""
        try:
            return self._reason_to_run(stage)
        except KeyError:
            return "waits for earlier stages"

    def _reason_to_run(self, stage: Stage) -> str | None:
        folder = self.run.stage(stage.id)
        record = folder.record()
        inputs = self._input_fingerprints(stage)
        if record is None:
            return "started"
        changed = _changes(record, stage, inputs)
        if changed:
            return f"redone, changed: {changed}"
        if record.status != "done":
            return "resumed"
        lost = folder.missing(record)
        if lost:
            return f"redone, {lost}"
        self.records[stage.id] = record
        return None

    def _input_fingerprints(self, stage: Stage) -> dict[str, str]:
        found = {}
        for name, source in stage.inputs.items():
            if source.stage:
                record = self.records[source.stage]
                found[name] = record.output_digest(source.output or None)
            else:
                found[name] = source.fingerprint
        return found

    def _restore_inputs(self, stage: Stage, summary: RunSummary) -> None:
        """Make pruned inputs again when a stage that has to run needs them."""
        for source in stage.inputs.values():
            record = self.records.get(source.stage)
            if not source.stage or record is None or not record.pruned:
                continue
            if not any(source.output.split("/")[0] == name for name in record.pruned):
                continue
            maker = next(s for s in self.plan if s.id == source.stage)
            self._restore_inputs(maker, summary)
            self.reporter.say(f"{maker.id}: redone, {source.output} was removed to save space")
            self._run(maker, maker.id)
            summary.done.append(maker.id)

    def _run(self, stage: Stage, label: str) -> StageRecord:
        folder = self.run.stage(stage.id)
        record = self._begin(stage, folder)
        started = time.monotonic()
        with self.reporter.stage(label) as update, PeakMemory() as peak:
            outcome = stage.work(
                StageRun(stage, folder.path, self._input_paths(stage), self.session, update)
            )
        record.seconds += round(time.monotonic() - started, 3)
        record.peak_memory_gb = peak.gigabytes
        record.tokens = int(outcome.tokens)
        record.cost_usd = float(outcome.cost_usd)
        record.counts = dict(outcome.counts)
        record.measures = {k: float(v) for k, v in outcome.measures.items()}
        record.outputs = folder.outputs(ignore=SCRATCH)
        record.status = "done"
        folder.write(record)
        self.records[stage.id] = record
        rate = (
            f", {record.tokens / record.seconds:.0f} tokens/s"
            if record.tokens and record.seconds
            else ""
        )
        self.reporter.say(
            f"{label}: done in {record.seconds:.1f} s{rate}, peak {record.peak_memory_gb:.1f} GB"
        )
        return record

    def _begin(self, stage: Stage, folder: StageFolder) -> StageRecord:
        """The record of a stage about to work: resumed if nothing it depends on has changed."""
        inputs = self._input_fingerprints(stage)
        old = folder.record()
        if old is not None and old.status == "running" and not _changes(old, stage, inputs):
            return old
        folder.clear()
        folder.path.mkdir(parents=True, exist_ok=True)
        settings = _plain(stage.settings)
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
                    self.session.release()
                    folder = self.run.stage(stage.id)
                    folder.prune(output)
                    self.records[stage.id] = folder.record() or self.records[stage.id]


class PeakMemory:
    """Peak resident memory of this process while a stage works, in GB (GPU memory not counted)."""

    def __enter__(self) -> PeakMemory:
        self.gigabytes = 0.0
        try:  # reset the kernel's high-water mark, where it lets us
            Path("/proc/self/clear_refs").write_text("5")
            self._resettable = True
        except OSError:
            self._resettable = False
        return self

    def __exit__(self, *exc: object) -> None:
        self.gigabytes = round(self._peak_kb() * 1024 / 1e9, 3)

    def _peak_kb(self) -> int:
        if self._resettable:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1])
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that can move a figure."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they look after a round trip through JSON."""
    import json

    plain: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return plain


def _changes(record: StageRecord, stage: Stage, inputs: Mapping[str, str]) -> str:
    """What differs between a record and the stage as it would run now (``""``: nothing)."""
    changed = [f"input {name}" for name in inputs if record.inputs.get(name) != inputs[name]]
    changed += [f"input {name}" for name in record.inputs if name not in inputs]
    changed += _setting_changes(record.settings, _plain(stage.settings))
    if record.seed != stage.seed:
        changed.append(f"seed {record.seed} -> {stage.seed}")
    return ", ".join(changed[:4]) + (", ..." if len(changed) > 4 else "")


def _setting_changes(old: Any, new: Any, key: str = "") -> list[str]:
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for name in dict.fromkeys([*old, *new]):
            inner = f"{key}.{name}" if key else name
            found += _setting_changes(old.get(name), new.get(name), inner)
        return found
    shown = f"{_brief(old)} -> {_brief(new)}"
    return [f"{key} {shown}"]


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."
