"""Joining a run: its ready stages are taken, one after another, from any machine that sees its folder."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from harness.config import RunConfig, read_config
from harness.engines import engine_identity
from harness.estimate import relative_times
from harness.executor import InProcess
from harness.experiment import finish_run, plan_digests, store_of
from harness.news import Forecast
from harness.prepare import Prepared, prepare
from harness.progress import Reporter
from harness.retry_errors import failed_stages
from harness.run_folder import WHOLE, RunFolder
from harness.runner import Runner, RunSummary
from harness.stage_runner import StageRunner, package_versions

APPEARS_S = 60.0
"""How long a worker looks for a run that is started at the same time."""
MOST_NAMED = 4


class RunChangedError(Exception):
    """The run was started again with other settings while a worker was at work."""


def work(root: Path, reporter: Reporter) -> RunSummary:
    """Take stages of the run until all are done; stages of other processes are waited for. A run that is started
    again with other settings is joined again.

    Raises:
        UserError: no run to join, this machine differs from the run's in what can move a figure (named), or
            stages that failed.
    """
    _wait_for_run(root, reporter)
    while True:
        try:
            return _work(RunFolder(root), reporter)
        except RunChangedError:
            reporter.say("the run has other settings now: joined again")


def _wait_for_run(root: Path, reporter: Reporter) -> None:
    """Raises ``UserError`` where no run appears in the folder."""
    run, until = RunFolder(root), time.monotonic() + (APPEARS_S if root.is_dir() else 0)
    said = False
    while run.description() is None:
        if time.monotonic() >= until:
            raise UserError(
                f"{root} is no run folder (it has no run.json): start sso-bench run first, in a folder that "
                "this machine shares with it"
            )
        if not said:
            reporter.say(f"no run in {root} yet: looking for {APPEARS_S:.0f} s")
            said = True
        time.sleep(0.5)


def _work(run: RunFolder, reporter: Reporter) -> RunSummary:
    description = run.description() or {}
    check_versions(description)
    config = read_config(description["config"])
    prepared = _prepared(run, config, reporter)
    try:
        check_same_plan(description, prepared)
        resources, redo = prepared.resources, bool(description.get("redo"))
        runner = Runner(run, prepared.plan, resources, reporter, redo)
        stages = StageRunner(run, prepared.plan, resources, reporter, redo)
        runner.executor = InProcess(stages, keep_going=True)
        runner.tidy = False
        runner.forecast = Forecast(relative_times(prepared))

        def unchanged() -> None:
            if (run.description() or {}).get("config") != description["config"]:
                raise RunChangedError

        runner.before_each = unchanged
        summary = runner.execute()
        summary.failed = failed_stages(run, prepared.plan)
        if (
            run.claims.holder(WHOLE) is None
        ):  # its first process is gone: nobody else writes the tables
            with run.lock():
                finish_run(run, prepared)
    finally:
        prepared.resources.close()
    return summary


def _prepared(run: RunFolder, config: RunConfig, reporter: Reporter) -> Prepared:
    if config.reward.data:
        raise UserError(
            f"{run.root} trains a reward model: sso-bench work joins runs of run and eval"
        )
    try:
        return prepare(config, run.root, reporter.say)
    except UserError as error:
        lines = [f"{socket.gethostname()}: {line}" for line in str(error).splitlines()]
        raise UserError("\n".join(lines)) from error


def check_versions(description: Mapping[str, Any]) -> None:
    """Raises ``UserError`` naming the packages that are of other versions here than where the run began."""
    theirs, ours = description.get("versions", {}), package_versions()
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    if names:
        listed = ", ".join(
            f"{n} {ours.get(n, 'is missing')} (the run: {theirs.get(n, 'none')})"
            for n in names[:MOST_NAMED]
        )
        raise UserError(
            f"{socket.gethostname()} has other package versions than the run: {listed}; install the run's versions"
        )


def check_same_plan(description: Mapping[str, Any], prepared: Prepared) -> None:
    """Raises ``UserError`` where this machine would do other stages than the run's: another model, engine or data,
    or a store of verdicts that does not hold the run's budget."""
    host = socket.gethostname()
    model = prepared.inputs.model.fingerprint
    if description.get("model_fingerprint") not in (None, model):
        raise UserError(f"{host} has another model under {prepared.config.model} than the run")
    engine = engine_identity(prepared.config.engine)
    if description.get("engine") not in (None, engine):
        theirs = ", ".join(description["engine"].values())
        raise UserError(
            f"engine auto is {', '.join(engine.values())} on {host} and {theirs} in the run: give the run "
            "--engine and --set engine.dtype, or join from a machine like its own"
        )
    theirs, ours = description.get("plan", {}), plan_digests(prepared.plan)
    other = [name for name in ours if theirs.get(name) not in (None, ours[name])]
    if other:
        raise UserError(f"{host} has other data or settings than the run for {other[0]}")
    if description.get("store") not in (None, store_of(prepared)):
        raise UserError(
            f"the judge's budget is kept in a verdict store that {host} does not share with the run: set "
            "SSO_BENCH_CACHE to a shared folder on both"
        )
