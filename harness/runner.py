"""Runs a plan: skips what is done and still valid, redoes what changed, says why. Stages whose inputs are there go
to an executor; other processes may work on the same plan meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from groundwork.errors import UserError
from harness.executor import Executor, InProcess
from harness.news import Forecast, duration, found
from harness.plan import reason_to_run, would_be_redone
from harness.progress import Reporter
from harness.resources import Resources
from harness.run_folder import RunFolder, StageRecord
from harness.stage import Stage, readers
from harness.stage_runner import Outcome, StageRunner, done_inputs, numbered, refusal

LOOK_S = 1.0
"""Seconds between two looks at what other processes work on."""


@dataclass
class RunSummary:
    """What a run did: stages done now, stages found done, those that other processes did meanwhile, seconds
    of work, and items that failed in scoring, by stage."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    by_others: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failed: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        others = f", {len(self.by_others)} by other processes" if self.by_others else ""
        return f"{len(self.done)} stages run in {self.seconds:.0f} s{others}, {len(self.skipped)} were done before"


class Runner:
    """Executes a plan in one run folder. ``others`` as in ``StageRunner``; ``executor`` may be replaced before
    ``execute``."""

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
        self.executor: Executor = InProcess(
            StageRunner(run, plan, resources, reporter, redo, others)
        )
        self.forecast = Forecast({})
        self.before_each: Callable[[], None] = lambda: None
        """Called before stages are submitted; an error from it ends the run."""
        self.tidy = True
        """Whether what finished stages left is cleared up: by one process of a run."""
        self.records: dict[str, StageRecord] = {}
        self._claims = run.claims
        self._working: set[str] = set()
        self._elsewhere: dict[str, str] = {}
        self._wanted: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._chains: dict[str, float] = {}

    def check(self) -> None:
        """Stop before finished results of other settings are replaced, unless ``redo`` allows it.

        Raises:
            UserError: naming the stages.
        """
        changed = would_be_redone(self.run, self.plan)
        if changed and not self.redo:
            raise refusal(self.run, changed)

    def execute(self) -> RunSummary:
        """Run every stage that is not done; returns what was done.

        Raises:
            UserError: as ``check``, also where new data make finished stages out of date; or stages that
                failed, each with its reason.
        """
        summary = RunSummary()
        self.check()
        self._chains = chains(self.plan, self.forecast)
        try:
            while True:
                ready = self._settle(summary)
                if len(self.records) == len(self.plan):
                    break
                self._submit(ready)
                if not self._working and not self._elsewhere and self._failed:
                    break
                for outcome in self.executor.wait(LOOK_S):
                    self._ended(outcome, summary)
        finally:
            self.executor.close()
        if self._failed:
            raise UserError("\n".join(f"{name}: {why}" for name, why in self._failed.items()))
        self._prune()
        return summary

    def _settle(self, summary: RunSummary) -> list[Stage]:
        """Note the stages that are done; those whose inputs are there and that are not are returned, in the
        order of the plan."""
        ready = []
        for stage in self.plan:
            if stage.id in self.records or stage.id in self._working:
                continue
            if stage.id in self._failed and not self._is_done(stage):
                continue
            if any(s.stage and s.stage not in self.records for s in stage.inputs.values()):
                continue
            if stage.id not in self._wanted:
                reason, record = reason_to_run(self.run, stage, self.records)
                if not reason and record is not None:
                    self._done(stage, record, summary)
                    continue
            ready.append(stage)
        return ready

    def _done(self, stage: Stage, record: StageRecord, summary: RunSummary) -> None:
        self.records[stage.id] = record
        failed = self._failed.pop(stage.id, None)
        if self._elsewhere.pop(stage.id, None) or failed:
            summary.by_others.append(stage.id)
            self.forecast.finished(stage, record.seconds)
            self._tell(stage, record)
            return
        summary.skipped.append(stage.id)
        if self.tidy:
            self._look_after(stage, record)

    def _submit(self, ready: Sequence[Stage]) -> None:
        """Hand ready stages to the executor, those first that most of the plan waits for where several can work
        side by side; stages that others work on are left to them."""
        if self.executor.slots > 1:
            ready = sorted(ready, key=lambda stage: -self._chains[stage.id])
        for stage in ready:
            if not self.executor.room(stage):
                continue
            holder = self._claims.holder(stage.id)
            if holder is not None:
                self._note_other(stage, str(holder))
                continue
            self._elsewhere.pop(stage.id, None)
            self.before_each()
            self._working.add(stage.id)
            self.executor.submit(stage, self._wanted.get(stage.id))

    def _note_other(self, stage: Stage, who: str) -> None:
        if self._elsewhere.get(stage.id) != who:
            self.reporter.say(f"{numbered(self.plan, stage)}: {who} works on it")
            self._elsewhere[stage.id] = who

    def _ended(self, outcome: Outcome, summary: RunSummary) -> None:
        self._working.discard(outcome.stage)
        stage = next(stage for stage in self.plan if stage.id == outcome.stage)
        if outcome.state == "failed":
            self._failed[stage.id] = outcome.error
            self.reporter.say(f"{numbered(self.plan, stage)}: failed: {outcome.error}")
            return
        if outcome.state == "waits":
            self._wait_for_inputs(stage, outcome)
        if outcome.state not in ("done", "skipped"):
            return
        self._wanted.pop(stage.id, None)
        record = self.run.stage(stage.id).record()
        if record is None or record.status != "done":
            return  # replaced meanwhile: looked at again
        self.records[stage.id] = record
        if outcome.state == "skipped":
            summary.skipped.append(stage.id)
            return
        self.forecast.finished(stage, outcome.seconds)
        self._tell(stage, record)
        summary.done.append(stage.id)
        summary.seconds += outcome.seconds
        self._prune()

    def _wait_for_inputs(self, stage: Stage, outcome: Outcome) -> None:
        """Inputs that were there are gone, or being made again by another process."""
        for maker, output in outcome.lost.items():
            self.records.pop(maker, None)
            self._wanted[maker] = output
        for source in stage.inputs.values():
            record = self.run.stage(source.stage).record() if source.stage else None
            if source.stage and (record is None or record.status != "done"):
                self.records.pop(source.stage, None)

    def _tell(self, stage: Stage, record: StageRecord) -> None:
        """Say what the stage found and how long the rest of the run takes."""
        rate = record.tokens / record.seconds if record.seconds else 0.0
        left = [s for s in self.plan if s.id not in self.records and not self._is_done(s)]
        known = left and self.forecast.known
        seconds = self.forecast.left(left) / self.executor.slots if known else 0.0
        parts = [
            f"done in {record.seconds:.1f} s",
            f"{rate:.0f} tokens/s" if rate else "",
            f"peak {record.peak_memory_gb:.1f} GB",
            f"{duration(seconds)} left for {len(left)} stages" if known else "",
        ]
        result = found(stage, self.run.stage(stage.id).path, record)
        news = f"{result}; " if result else ""
        label = numbered(self.plan, stage)
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

    def _prune(self) -> None:
        """Remove prunable outputs that no pending stage reads."""
        for stage in self.plan:
            for output in stage.prunable:
                if not (self.run.stage(stage.id).path / output).exists():
                    continue
                if stage.id in self.records and self._read_by_all(stage, output):
                    self._prune_output(stage, output)

    def _read_by_all(self, stage: Stage, output: str) -> bool:
        return all(r.id in self.records for r in readers(self.plan, stage.id, output))

    def _prune_output(self, stage: Stage, output: str) -> None:
        """Remove one output, unless another process makes it again or needs it."""
        with self._claims.holding(stage.id) as claim:
            if claim is None or not all(
                map(self._still_done, readers(self.plan, stage.id, output))
            ):
                return
            folder = self.run.stage(stage.id)
            self.resources.release_model(folder.path / output)
            folder.prune(output)
            self.records[stage.id] = folder.record() or self.records[stage.id]

    def _still_done(self, stage: Stage) -> bool:
        records: Mapping[str, StageRecord] | None = done_inputs(self.run, stage)
        return records is not None and not reason_to_run(self.run, stage, records)[0]


def chains(plan: Sequence[Stage], forecast: Forecast) -> dict[str, float]:
    """Expected time of each stage and the longest line of stages that wait for it, by id; where nothing is
    expected, the number of stages."""
    times = {stage.id: forecast.expected(stage) for stage in plan}
    known = any(times.values())
    found: dict[str, float] = {}
    for stage in reversed(plan):
        after = [
            found[later.id]
            for later in plan
            if later.id in found and any(s.stage == stage.id for s in later.inputs.values())
        ]
        found[stage.id] = (times[stage.id] if known else 1.0) + max(after, default=0.0)
    return found
