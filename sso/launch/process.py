"""One process of a training: ``python -m sso.launch.process JOB``, as many as the launcher starts.

Its words go to ``rank-N.log`` beside the job; how it ended to ``rank-N.json``, unless it was killed. The first
process leaves ``result.json``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from groundwork.errors import UserError
from groundwork.files import write_json
from sso.launch.job import PROGRESS, read_examples, read_job, write_result

LOST_PEER = (
    "closed by peer",
    "connection reset",
    "gloo",
    "nccl",
    "socket",
    "broken pipe",
    "watchdog",
)
"""Words of the errors that a process has when another one is gone."""


def main(file: Path) -> int:
    """Train; the exit code is 0, or 1 with the reason in ``rank-N.json``."""
    rank = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))
    _take_srun()
    log = os.open(file.parent / f"rank-{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    report = file.parent / f"rank-{rank}.json"
    _end_with_parent()
    _report_polite_end(rank, report)
    try:
        _train(file, rank)
    except BaseException as error:
        write_json(report, {"rank": rank, "kind": _kind(error), "error": _words(error)})
        import traceback

        traceback.print_exc()
        return 1
    write_json(report, {"rank": rank, "kind": "done", "error": ""})
    return 0


def _train(file: Path, rank: int) -> None:
    from sso.reward_model import train_groups
    from sso.training import TrainingRun

    job = read_job(file)
    reward = job.objective.name == "reward"
    examples = read_examples(job.work) if rank == 0 or reward else []
    run = TrainingRun(
        out=job.out,
        work=job.work,
        seed=job.seed,
        progress=_Progress(job.work / PROGRESS) if rank == 0 else lambda done, total: None,
        sharded=job.sharded,
        cpu_offload=job.cpu_offload,
    )
    result = train_groups(job.model, examples, job.objective, job.settings, run)
    if rank == 0:
        write_result(job.work, result)


class _Progress:
    """Writes the newest progress where the parent looks, a few times a second at most."""

    def __init__(self, file: Path) -> None:
        self.file, self.last = file, 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self.last > 0.2 or done >= total:
            beside = self.file.with_suffix(".new")
            beside.write_text(f"[{done}, {total}]")
            beside.replace(self.file)
            self.last = time.monotonic()


def _kind(error: BaseException) -> str:
    if isinstance(error, UserError):
        return "user"
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return "memory"
    words = str(error).lower()
    lost = type(error).__name__.startswith("Dist") or any(word in words for word in LOST_PEER)
    return "peer" if lost or isinstance(error, SystemExit | KeyboardInterrupt) else "error"


def _words(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip() if lines else ''}"[:600]


def _take_srun() -> None:
    """Slurm's names of rank and world, where srun started the processes itself."""
    for name, slurm in (("RANK", "PROCID"), ("WORLD_SIZE", "NTASKS"), ("LOCAL_RANK", "LOCALID")):
        if f"SLURM_{slurm}" in os.environ and "SLURM_STEP_ID" in os.environ:
            os.environ.setdefault(name, os.environ[f"SLURM_{slurm}"])


def _end_with_parent() -> None:
    """No process outlives its launcher, however that one ended."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _report_polite_end(rank: int, report: Path) -> None:
    """On SIGTERM, which the launcher sends to those who outlive a failed one, say so and end at once, also
    in the middle of waiting for the others (where Python's own handlers would not run)."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGTERM, lambda number, frame: None)

    def wait() -> None:
        while os.read(reading, 1) != bytes([signal.SIGTERM]):
            pass
        write_json(report, {"rank": rank, "kind": "peer", "error": "ended by its launcher"})
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
