"""Starts the processes of a training, waits for them, and says which one failed and why."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from groundwork.errors import UserError
from groundwork.guarded_process import GuardedProcess
from groundwork.stage_result import StageResult
from sso.launch.job import PROGRESS, RESULT, Job, read_result
from sso.launch.layout import Layout, find_layout
from sso.objectives import Objective, PromptGroup, as_objective
from sso.settings import LaunchSettings, MethodSettings
from sso.training import TrainingRun

LOOK_S = 0.1
LOG = "launch.log"
ORDER = ("user", "memory", "error", "killed", "peer")
"""What a failed training is put down to first: an error of its own before a kill, and a kill before the
errors of those who missed the killed one."""


def launch(
    model: Path,
    examples: Sequence[PromptGroup],
    objective: str | Objective,
    settings: MethodSettings,
    run: TrainingRun,
    how: LaunchSettings | None = None,
) -> StageResult:
    """``sso.training.train`` (with the objective ``reward`` ``sso.reward_model.train_reward``) in processes of
    its own, which end with this one.

    Raises:
        UserError: as ``train``, or a process ended otherwise: which, and its last words. The same
            call goes on from the last mid-stage checkpoint.
    """
    how = how or LaunchSettings()
    layout = find_layout(how, settings.training, model) if how.own_process else None
    if layout is None or (how.own_process == "auto" and _is_plain(layout, how)):
        from sso.reward_model import train_groups

        return train_groups(model, examples, objective, settings, run)
    run.work.mkdir(parents=True, exist_ok=True)
    job = Job(
        model,
        as_objective(objective),
        settings,
        run.out,
        run.work,
        run.seed,
        layout.sharded,
        how.cpu_offload,
    )
    file = job.write(examples)
    process = GuardedProcess(command_of(file, layout, how), run.work / LOG, _environment(layout))
    try:
        _wait(process, run.work / PROGRESS, run.progress)
    finally:
        process.close()
    if (run.work / RESULT).is_file():
        return read_result(run.work)
    raise UserError(failure(run.work, layout))


def _is_plain(layout: Layout, how: LaunchSettings) -> bool:
    """One process that has no GPU, started by no command of the user's."""
    import torch

    return layout.world == 1 and not how.command and not torch.cuda.is_available()


def command_of(file: Path, layout: Layout, how: LaunchSettings) -> list[str]:
    """The command line of a training's processes."""
    program = ["-m", "sso.launch.process", str(file.absolute())]
    if how.command:
        text = how.command.format(
            devices=layout.devices,
            nodes=layout.nodes,
            program=shlex.join([sys.executable, *program]),
        )
        return shlex.split(text)
    if layout.nodes > 1:
        raise UserError(
            "launch.nodes above 1 needs launch.command, for example: srun --nodes {nodes} "
            "--ntasks-per-node {devices} {program} (docs/cluster.md)"
        )
    if layout.world == 1:
        return [sys.executable, *program]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    return [sys.executable, *torchrun, str(layout.devices), *program]


def _environment(layout: Layout) -> dict[str, str]:
    import torch

    found = dict(os.environ)
    root = str(Path(__file__).resolve().parents[2])
    found["PYTHONPATH"] = os.pathsep.join(p for p in (root, found.get("PYTHONPATH", "")) if p)
    if not torch.cuda.is_available():
        found["ACCELERATE_USE_CPU"] = "true"
    elif layout.world == 1:
        found["CUDA_VISIBLE_DEVICES"] = found.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    if layout.world > 1 and not torch.cuda.is_available():
        found.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // layout.devices)))
    return found


def _wait(process: GuardedProcess, file: Path, progress: Callable[[int, int], None]) -> None:
    """Until the processes have ended, passing their progress on."""
    seen = None
    while True:
        ended = not process.running()
        with contextlib.suppress(OSError, ValueError):
            text = file.read_text()
            if text != seen:
                seen = text
                progress(*json.loads(text))
        if ended:
            return
        time.sleep(LOOK_S)


def failure(work: Path, layout: Layout) -> str:
    """Which process of a training failed first, and its last words."""
    reports = []
    for rank in range(layout.world):
        try:
            report = json.loads((work / f"rank-{rank}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            report = {
                "rank": rank,
                "kind": "killed",
                "error": _last_line(work / f"rank-{rank}.log"),
            }
        if report["kind"] != "done":
            reports.append(report)
    if not reports:
        return f"the training left no result: {_last_line(work / LOG) or 'no message'}"
    first = min(reports, key=lambda r: ORDER.index(r["kind"]))
    words = str(first["error"])
    if first["kind"] == "user":
        return words
    who = (
        f"training process {first['rank']} of {layout.world}"
        if layout.world > 1
        else "the training"
    )
    resume = "the same command resumes it"
    if first["kind"] == "memory":
        less = "training.micro_tokens, training.gradient_checkpointing or launch.strategy=fsdp"
        return f"{who} ran out of memory ({words}): {less} need less and change no result; {resume}"
    if first["kind"] == "killed" and not (work / f"rank-{first['rank']}.log").is_file():
        return f"{who} could not start: {_last_line(work / LOG) or 'no message'}; {resume}"
    if first["kind"] == "killed":
        before = f", after: {words}" if words else ""
        return f"{who} was killed (out of memory?){before}; {resume}"
    log = work / f"rank-{first['rank']}.log"
    return f"{who} failed: {words} (more in {log}); {resume}"


def _last_line(log: Path) -> str:
    try:
        text = log.read_bytes()[-4000:].decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
