"""The contract of executors, and the default one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

from groundwork.errors import UserError
from harness.stage import Stage
from harness.stage_runner import Outcome, StageRunner


class Executor(Protocol):
    """Runs stages; the claim of a stage keeps others off it while it works."""

    slots: int
    """Stages that work side by side."""

    def room(self, stage: Stage) -> bool:
        """Whether this stage can be submitted now."""

    def submit(self, stage: Stage, wanted: str | None = None) -> None:
        """Start a stage whose inputs are there. ``wanted`` as in ``StageRunner.attempt``."""

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes of submitted stages that have ended, after ``seconds`` at most."""

    def close(self) -> None:
        """End what still works, and give its claims back."""


class InProcess:
    """One stage at a time, in this process. What its work raises goes through ``submit``, but with ``keep_going``
    a ``UserError`` is an outcome."""

    slots = 1

    def __init__(self, runner: StageRunner, keep_going: bool = False) -> None:
        self._runner = runner
        self._keep_going = keep_going
        self._ended: list[Outcome] = []

    def room(self, stage: Stage) -> bool:
        """See ``Executor``."""
        return not self._ended

    def submit(self, stage: Stage, wanted: str | None = None) -> None:
        """Run the stage before returning."""
        try:
            outcome = self._runner.attempt(stage, wanted)
        except UserError as error:
            if not self._keep_going:
                raise
            outcome = Outcome(stage.id, "failed", error=str(error))
        self._ended.append(outcome)

    def wait(self, seconds: float) -> list[Outcome]:
        """See ``Executor``."""
        if not self._ended:
            time.sleep(seconds)
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """Nothing works any more."""


@contextlib.contextmanager
def closed_after_error(executor: Executor) -> Iterator[None]:
    """Close the executor where the block fails; a run that begins closes it itself."""
    try:
        yield
    except BaseException:
        executor.close()
        raise
