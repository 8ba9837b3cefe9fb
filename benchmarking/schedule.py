"""The published table of a whole experiment as a schedule: when each stage runs on a machine that is not here.

``python benchmarking/schedule.py --gpus 8xH100`` (or ``8x8xH100``) simulates the stages of the first version's table 1,
once one after another on all devices, and once side by side: stages whose inputs are there share the devices, and
judging holds none. Times are those of ``sso-bench plan`` (``harness.planning``): a factor of two either way, and
perfect scaling over devices. ``--json FILE`` keeps the schedules.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from harness.config import load_config
from harness.experiments import experiments
from harness.planning.devices import Machines, parse_machines
from harness.planning.offline import planned_stages
from harness.planning.report import JUDGE_RATE, STARTING, estimate_stage
from harness.planning.shapes import shape_of


@dataclass(frozen=True)
class Task:
    """A stage: seconds of work on a number of devices (none: it needs no device), seconds that it starts up on
    them, seconds of judging after it, and the fewest devices that hold it."""

    id: str
    after: tuple[str, ...]
    work: Callable[[int], float] | None
    starting: float
    judging: float = 0.0
    least: int = 1


@dataclass(frozen=True)
class Slot:
    """A stage in a schedule: seconds from the start, and the devices that it holds until ``released``."""

    id: str
    start: float
    released: float
    end: float
    devices: int
    work: float


@dataclass(frozen=True)
class Schedule:
    """``busy``: share of device time in which devices work; ``held``: also start up."""

    slots: tuple[Slot, ...]
    makespan: float
    busy: float
    held: float


def in_sequence(tasks: Sequence[Task], devices: int) -> Schedule:
    """One stage after another, each on all devices."""
    slots, now = [], 0.0
    for task in tasks:
        slots.append(_slot(task, now, devices))
        now = slots[-1].end
    return _schedule(slots, devices)


def side_by_side(tasks: Sequence[Task], devices: int) -> Schedule:
    """Whatever is ready, the longest line of stages behind it first. A stage gets its share of the free devices by
    its work, but no more than keep busy for as long as it needs to start; where one has to wait for devices, later
    ones start only if they are through by then."""
    chains = _chains(tasks, devices)
    slots: list[Slot] = []
    done: set[str] = set()
    waiting = list(tasks)
    now = 0.0
    while waiting:
        running = [slot for slot in slots if slot.released > now]
        free = devices - sum(slot.devices for slot in running)
        ready = [task for task in waiting if done.issuperset(task.after)]
        ready.sort(key=lambda task: -chains[task.id])
        limit = math.inf
        for place, task in enumerate(ready):
            if task.work is not None and free < task.least:
                limit = min(limit, _when_free(slots, now, devices, task.least))
                continue
            slot = _slot(task, now, _width(task, free, ready[place:]))
            if slot.devices and slot.released > limit:
                continue
            slots.append(slot)
            waiting.remove(task)
            free -= slot.devices
        moments = [t for slot in slots for t in (slot.released, slot.end) if t > now]
        if not moments:
            raise ValueError(
                f"{waiting[0].id} waits for a stage that is not there, or fits nowhere"
            )
        now = min(moments)
        done = {slot.id for slot in slots if slot.end <= now}
    return _schedule(slots, devices)


def _when_free(slots: Sequence[Slot], now: float, devices: int, wanted: int) -> float:
    """When so many devices are free, if nothing else starts."""
    running = sorted((s for s in slots if s.released > now), key=lambda s: s.released)
    free = devices - sum(slot.devices for slot in running)
    for slot in running:
        free += slot.devices
        if free >= wanted:
            return slot.released
    return math.inf


def _width(task: Task, free: int, ready: Sequence[Task]) -> int:
    """Devices for the first of the ready tasks."""
    if task.work is None:
        return 0
    all_work = sum(other.work(other.least) * other.least for other in ready if other.work)
    share = free * task.work(task.least) * task.least / all_work if all_work else free
    width = task.least
    while width * 2 <= min(share, free) and task.work(width * 2) >= task.starting:
        width *= 2
    return width


def _slot(task: Task, start: float, devices: int) -> Slot:
    devices = 0 if task.work is None else devices
    work = task.work(devices) if task.work is not None else 0.0
    released = start + task.starting + work
    return Slot(task.id, start, released, released + task.judging, devices, work)


def _schedule(slots: Sequence[Slot], devices: int) -> Schedule:
    makespan = max((slot.end for slot in slots), default=0.0)
    whole = makespan * devices or 1.0
    busy = sum(slot.work * slot.devices for slot in slots) / whole
    held = sum((slot.released - slot.start) * slot.devices for slot in slots) / whole
    return Schedule(tuple(sorted(slots, key=lambda slot: slot.start)), makespan, busy, held)


def _chains(tasks: Sequence[Task], devices: int) -> dict[str, float]:
    """Seconds of the longest line of stages from each one on, each on all devices; with its own."""
    found: dict[str, float] = {}
    for task in reversed(tasks):
        after = [found[later.id] for later in tasks if task.id in later.after]
        found[task.id] = _slot(task, 0.0, devices).end + max(after, default=0.0)
    return found


def table_tasks(name: str, machines: Machines) -> list[Task]:
    """The stages of all runs of an experiment (``v1-table1``); ids begin with the run's model."""
    tasks = []
    for run in experiments()[name.replace("-", ":", 1)].runs:
        config = load_config(run.preset, [], {"methods": list(run.methods), "model": run.model})
        shape = shape_of("", run.preset)
        for stage in planned_stages(config):

            @cache
            def total(devices: int, stage=stage, config=config, shape=shape) -> float:  # type: ignore[no-untyped-def]
                place = Machines(1, devices, machines.device)
                return estimate_stage(config, stage, shape, place).seconds

            starting, judging = STARTING[stage.kind], stage.judge_calls / JUDGE_RATE

            def work(devices: int, total=total, rest=starting + judging) -> float:  # type: ignore[no-untyped-def]
                return float(total(devices) - rest)

            tasks.append(
                Task(
                    f"{run.model}/{stage.id}",
                    tuple(f"{run.model}/{other}" for other in stage.after),
                    work if stage.kind in ("sample", "train", "eval") else None,
                    0.0 if stage.kind == "judge" else starting,
                    judging,
                    machines.per_node if stage.kind == "train" else 1,
                )
            )
    return tasks


def report(name: str, machines: Machines) -> tuple[list[str], dict[str, object]]:
    """Lines to read, and the same as data."""
    tasks = table_tasks(name, machines)
    count = machines.count
    both = {
        "one after another": in_sequence(tasks, count),
        "side by side": side_by_side(tasks, count),
    }
    chain = max(_chains(tasks, count).values())
    one = {slot.id: slot for slot in both["one after another"].slots}
    lines = [
        f"{'stage':<52} {'alone: start':>13} {'end':>7} {'beside: start':>14} {'end':>7} {'devices':>8}"
    ]
    for slot in both["side by side"].slots:
        first = one[slot.id]
        lines.append(
            f"{slot.id:<52} {first.start / 3600:>11.2f} h {first.end / 3600:>5.2f} h "
            f"{slot.start / 3600:>12.2f} h {slot.end / 3600:>5.2f} h {slot.devices or '':>8}"
        )
    lines += [
        f"{title}: {s.makespan / 3600:.2f} h, devices work {s.busy:.0%} of the time and are held {s.held:.0%}"
        for title, s in both.items()
    ]
    lines.append(f"critical path, every stage on all {count} devices: {chain / 3600:.2f} h")
    data: dict[str, object] = {title: asdict(s) for title, s in both.items()}
    return lines, {**data, "critical path": chain, "devices": count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", default="8xH100")
    parser.add_argument("--table", default="v1-table1", help="a file of harness/experiments")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines, data = report(options.table, parse_machines(options.gpus))
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
