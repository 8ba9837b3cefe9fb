"""What a process needs to run stages of a plan that another one made."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from groundwork.errors import UserError
from harness.config import RunConfig
from harness.progress import Reporter
from harness.run_folder import RunFolder
from harness.stage_runner import Outcome, StageRunner


@dataclass(frozen=True)
class Order:
    """Folder and configuration of a run; ``cwd`` is what relative paths in it refer to. ``others`` and ``shards``
    as in ``harness.experiment.run_experiment``."""

    root: Path
    config: str
    cwd: Path
    redo: bool = False
    others: tuple[Path, ...] = ()
    shards: tuple[Path, ...] = ()

    @staticmethod
    def of(config: RunConfig, run: RunFolder, redo: bool = False) -> Order:
        """The order to run this configuration in this folder."""
        return Order(run.root.absolute(), config.model_dump_json(), Path.cwd(), redo)


class OrderedStages:
    """The stages of an order in this process.

    Raises:
        UserError: as ``harness.prepare.prepare``: what is missing here (the model's folder, a package).
    """

    def __init__(self, order: Order, reporter: Reporter) -> None:
        from harness.prepare import prepare
        from harness.shards import whole_set

        if order.cwd.is_dir():
            os.chdir(order.cwd)
        config = RunConfig.model_validate_json(order.config)
        prepared = prepare(config, order.root, lambda text: None)
        self._resources = prepared.resources
        self._resources.log = reporter.say
        if order.shards:
            self._resources.shards = whole_set(order.shards, config)
        others = [RunFolder(path) for path in order.others]
        run = RunFolder(order.root)
        self._runner = StageRunner(
            run, prepared.plan, self._resources, reporter, order.redo, others
        )
        self._stages = {stage.id: stage for stage in prepared.plan}

    def attempt(self, stage: str, wanted: str | None, failed: Callable[[], str]) -> Outcome:
        """``StageRunner.attempt`` with every failure as an outcome; ``failed`` keeps the traceback of one that is no
        mistake of the user's, and says where."""
        if stage not in self._stages:
            return Outcome(stage, "failed", error="not in the plan that this process made")
        try:
            return self._runner.attempt(self._stages[stage], wanted)
        except UserError as error:
            return Outcome(stage, "failed", error=str(error))
        except Exception as error:
            words = str(error).strip().splitlines()
            text = f"{type(error).__name__}: {words[0] if words else ''} (more in {failed()})"
            return Outcome(stage, "failed", error=text)

    def close(self) -> None:
        """Free engines and judges."""
        self._resources.close()


class Told(Reporter):
    """Hands news on instead of printing them."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        from rich.console import Console

        super().__init__(Console(quiet=True, force_terminal=False))
        self._tell = tell

    def say(self, text: str) -> None:
        """One line of news."""
        self._tell(text)
