"""``sso-bench watch``: every checkpoint that a trainer leaves in a folder is evaluated once, in the order of its
steps, into one run folder."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from groundwork.errors import UserError
from groundwork.printable import one_line
from harness.checkpoint_folder import (
    Checkpoint,
    State,
    adapter_base,
    checkpoint_model,
    find_checkpoints,
)
from harness.config import RunConfig
from harness.data import open_source
from harness.experiment import describe_run, finish_run, watch_judge
from harness.models import ResolvedModel, resolve_model
from harness.plan import plan_status
from harness.prepare import IDENTITY, Prepared, check_judge, check_kind, check_names, judge_uses
from harness.progress import Reporter
from harness.resources import Resources
from harness.run_folder import RunFolder
from harness.runner import Runner
from harness.stage import CheckpointKey, PlanInputs, Source, Stage
from harness.stages.evaluate import eval_stage

SETTLE_S = 2.0
"""Seconds in which no file of a checkpoint may change before it is evaluated."""
ORDER = 500
"""Place of the watched training among the arms of a table: after all of them."""


@dataclass(frozen=True)
class WatchSettings:
    """What to watch: ``base`` is the starting model, scored first, which adapters and the local judge need;
    ``name`` what tables call the training; ``every`` the seconds between two looks."""

    folder: Path
    base: str | None = None
    name: str | None = None
    once: bool = False
    every: float = 30.0
    redo: bool = False

    @property
    def arm(self) -> str:
        return re.sub(r"[^\w.+-]+", "_", self.name or self.folder.absolute().name) or "watched"


def watch(config: RunConfig, out: Path, reporter: Reporter, how: WatchSettings) -> int:
    """Evaluate what is there and, unless ``once``, what comes; returns how many checkpoints were evaluated.
    Those that are evaluated already are left as they are.

    Raises:
        UserError: no such folder, another experiment's run folder, a local judge without a base, anything
            wrong with the configuration, or finished stages of other settings.
    """
    if not how.folder.is_dir():
        raise UserError(f"{how.folder} is no folder: name the one in which checkpoints appear")
    if not config.benchmarks:
        raise UserError("no benchmark is named (--benchmarks)")
    check_names(config)
    local = [use for use in judge_uses(config) if config.judge.judge_of(use)[0] == "local"]
    if local and how.base is None:
        raise UserError(
            f"the judge of {local[0]} is the local one, which reads the starting model: name it with "
            "--model, or another judge with --judge"
        )
    run = RunFolder(out)
    run.check_owner({key: getattr(config, key) for key in IDENTITY})
    with run.lock():
        run.clean()
        watcher = _Watcher(config, run, reporter, how)
        try:
            return watcher.watch()
        finally:
            watcher.close()


class _Watcher:
    def __init__(
        self, config: RunConfig, run: RunFolder, reporter: Reporter, how: WatchSettings
    ) -> None:
        self.config, self.run, self.reporter, self.how = config, run, reporter, how
        self.data = open_source(config.data)
        self.base: ResolvedModel | None = None
        if how.base is not None:
            self.base = resolve_model(how.base, log=reporter.say)
            check_kind(config, self.base.path)
        self.run_id = run.run_id()
        self._resources: Resources | None = None
        self._handled: dict[str, State] = {}

    def watch(self) -> int:
        count = 0
        if self.base is not None and self.config.evaluate_base:
            key = CheckpointKey("base", 0, self.config.seeds[0])
            self._execute(key, self.base, lambda: self._path(self.base))
        while True:
            ready = self._ready()
            if ready:
                count += self._evaluate(ready[0])
            elif self.how.once:
                break
            else:
                time.sleep(self.how.every)
        if self.how.once and not count and not self.run.description():
            raise UserError(f"no checkpoint in {self.how.folder} could be evaluated")
        return count

    def close(self) -> None:
        if self._resources is not None:
            self._resources.close()

    def _ready(self) -> list[Checkpoint]:
        """Checkpoints that are new, or other than when they were looked at, and rest for a moment."""
        before = {c.name: c.state() for c in find_checkpoints(self.how.folder)}
        if all(self._handled.get(name) == state for name, state in before.items()):
            return []
        time.sleep(SETTLE_S)
        found = [(c, c.state()) for c in find_checkpoints(self.how.folder)]
        return [
            c
            for c, state in found
            if before.get(c.name) == state and self._handled.get(c.name) != state
        ]

    def _evaluate(self, checkpoint: Checkpoint) -> bool:
        """Whether it had to be evaluated, and was; what is not whole is told once and skipped."""
        state = checkpoint.state()
        self._handled[checkpoint.name] = state
        try:
            model = checkpoint_model(checkpoint, self.base)
            if not checkpoint.adapter:
                check_kind(self.config, model.path)
        except (UserError, OSError) as error:
            self.reporter.say(f"{checkpoint.name}: skipped: {one_line(str(error), 300)}")
            return False
        key = CheckpointKey(self.how.arm, checkpoint.step, self.config.seeds[0])
        merged = self.run.root / key.folder / "merged.partial"
        try:
            return self._execute(key, model, lambda: self._weights(checkpoint, model, merged))
        except UserError as error:
            if checkpoint.path.is_dir() and checkpoint.state() == state and not checkpoint.adapter:
                raise
            self.reporter.say(f"{checkpoint.name}: skipped: {one_line(str(error), 300)}")
            return False
        finally:
            shutil.rmtree(merged, ignore_errors=True)

    def _weights(self, checkpoint: Checkpoint, model: ResolvedModel, merged: Path) -> Path:
        """The folder that an engine reads."""
        if not checkpoint.adapter:
            return model.path
        from sso.lora import merge_saved_adapter

        self.reporter.say(f"{checkpoint.name}: merging the adapter")
        merge_saved_adapter(checkpoint.path, adapter_base(checkpoint, self.base).path, merged)
        return merged

    @staticmethod
    def _path(model: ResolvedModel | None) -> Path:
        assert model is not None
        return model.path

    def _execute(
        self, key: CheckpointKey, model: ResolvedModel, weights: Callable[[], Path]
    ) -> bool:
        """Evaluate one checkpoint; ``weights`` gives its folder and is called only where a stage is left."""
        inputs = PlanInputs(self.config, self.data, self.base or model)
        source = Source(path=model.path, fingerprint=model.fingerprint)
        plan = [eval_stage(inputs, name, key, source) for name in self.config.benchmarks]
        resources = self._opened(model)
        runner = Runner(self.run, plan, resources, self.reporter, self.how.redo)
        runner.check()
        prepared = Prepared(inputs, plan, resources)
        left = any(reason for reason, _ in plan_status(self.run, plan).values())
        self._describe(prepared, key)
        if not left:
            return False
        folder = weights()
        runner.plan[:] = [_reading(stage, folder) for stage in plan]  # type: ignore[index]
        watch_judge(self.run, prepared, self.reporter)
        runner.execute()
        resources.release()  # the training may need the memory
        finish_run(self.run, prepared)
        return True

    def _opened(self, model: ResolvedModel) -> Resources:
        if self._resources is None:
            from harness.engines import check_engine

            check_engine(self.config.engine)
            self._resources = Resources(
                self.config, self.base or model, self.data, self.reporter.say, self.run_id
            )
            check_judge(self._resources, self.config, self.reporter.say)
        return self._resources

    def _describe(self, prepared: Prepared, key: CheckpointKey) -> None:
        describe_run(self.run, prepared, keep=True)
        found = self.run.description() or {}
        arm = self.how.arm
        info = {"title": self.how.name or arm, "order": ORDER, "ablation": False}
        found["arms"] = [arm]
        found["arm_info"] = {**found.get("arm_info", {}), arm: info}
        found["iterations"] = max(int(found["iterations"]), key.iteration)
        self.run.describe(found)


def _reading(stage: Stage, folder: Path) -> Stage:
    """The stage on the weights in ``folder``; what its record says does not change."""
    model = replace(stage.inputs["model"], path=folder)
    return replace(stage, inputs={**stage.inputs, "model": model})
