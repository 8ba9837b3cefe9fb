"""``sso-bench plan --gpus``: memory, hours, disk and dollars of a run on machines that need not be here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.config import RunConfig
from harness.planning.devices import Machines
from harness.planning.memory import (
    Memory,
    Placement,
    engine_memory,
    group_tokens,
    smallest_change,
    training_memory,
)
from harness.planning.offline import JUDGE_PROMPT, PlannedStage, critical_path, planned_stages
from harness.planning.shapes import Shape, shape_of
from sso.launch.layout import COPY_BYTES, COPY_SHARE
from sso.settings import TrainingSettings

EFFICIENCY = {"prompt": 0.45, "new": 0.2, "train": 0.4}
"""Share of a device's matrix-product rate that each kind of work typically reaches on GPUs."""
STARTING = {"sample": 120.0, "train": 180.0, "eval": 60.0, "judge": 60.0, "data": 5.0}
"""Seconds of a stage before and after its work: starting an engine or a training, saving."""
JUDGE_RATE = 10.0
"""Verdicts per second that a served judge gives."""
ENGINE_CONTEXT = 8192


@dataclass(frozen=True)
class StageEstimate:
    """One stage on the machines: seconds, bytes of a device at the peak, why it can't run (or nothing)."""

    stage: PlannedStage
    seconds: float
    memory: float
    problem: str = ""


def place_training(
    config: RunConfig, training: TrainingSettings, shape: Shape, machines: Machines
) -> Placement:
    """Processes and sharding that ``launch`` gives on these machines."""
    how = config.launch
    per_node = machines.per_node if how.devices == "auto" else int(how.devices)
    processes = per_node * machines.nodes
    fits = COPY_BYTES * shape.weights <= COPY_SHARE * machines.device.memory
    auto = not fits and not training.lora.rank
    sharded = processes > 1 and (how.strategy == "fsdp" or (how.strategy == "auto" and auto))
    return Placement(processes, sharded, how.cpu_offload)


def estimate_stage(
    config: RunConfig, stage: PlannedStage, shape: Shape, machines: Machines
) -> StageEstimate:
    """Time and memory of one stage."""
    device, count = machines.device, machines.count
    rate = device.flops * count
    work = 2 * shape.weights
    time = STARTING[stage.kind] + stage.judge_calls / JUDGE_RATE
    time += work * stage.prompt / (rate * EFFICIENCY["prompt"])
    time += work * stage.new / (rate * EFFICIENCY["new"])
    if stage.kind == "train":
        training = config.training.of_step(stage.id.rsplit("/", 1)[1])
        again = 1 if training.gradient_checkpointing else 0
        time += (4 + again) * work * stage.train / (rate * EFFICIENCY["train"])
        memory, problem = _training(config, stage, training, shape, machines)
        return StageEstimate(stage, time, memory.total, problem)
    if stage.kind in ("sample", "eval"):
        tensor = config.writer.tensor_parallel if stage.model else config.engine.tensor_parallel
        needs = engine_memory(shape, tensor, ENGINE_CONTEXT)
        most = config.engine.gpu_memory * device.memory
        less = (
            f"engine.tensor_parallel={_tensor(shape, machines)}" if not stage.model else "writer.*"
        )
        problem = f"set {less}" if needs.total > most else ""
        return StageEstimate(stage, time, needs.total, problem)
    return StageEstimate(stage, time, 0.0)


def _training(
    config: RunConfig,
    stage: PlannedStage,
    training: TrainingSettings,
    shape: Shape,
    machines: Machines,
) -> tuple[Memory, str]:
    place = place_training(config, training, shape, machines)
    tokens = group_tokens(training, stage.trains, config.sampling.max_new_tokens)
    memory = training_memory(shape, training, place, tokens)
    limit = machines.device.memory
    if memory.total <= limit:
        return memory, ""
    change = smallest_change(shape, training, place, tokens, limit)
    return memory, f"set {change}" if change else "needs more or larger devices"


def _tensor(shape: Shape, machines: Machines) -> int:
    sizes = (2, 4, 8, 16)
    fitting = [
        n
        for n in sizes
        if engine_memory(shape, n, ENGINE_CONTEXT).total < machines.device.memory * 0.9
    ]
    return fitting[0] if fitting else sizes[-1]


def disk_bytes(config: RunConfig, weights: int) -> dict[str, float]:
    """Bytes on disk at most at one time: checkpoints that stay, and two mid-stage ones."""
    training = config.training
    policies = len(config.methods) * config.effective_iterations * len(config.seeds)
    if config.storage.keep_policies == "last":
        policies = len(config.methods) * len(config.seeds) + 1
    generators = policies if config.storage.keep_generators else 1
    rounded = training.precision == "bf16" and training.saved_precision == "same"
    saved = weights * (2 if rounded else 4)
    resumes = training.checkpoint_every and config.effective_iterations
    return {
        "checkpoints": saved * (policies + (generators if config.effective_iterations else 0)),
        "mid-stage": 2 * 12 * weights if resumes and not training.lora.rank else 0,
    }


def estimates(config: RunConfig, machines: Machines) -> list[StageEstimate]:
    """Every stage of the run on the machines.

    Raises:
        UserError: a model of unknown shape.
    """
    policy = shape_of(config.model, config.preset)
    found = []
    for stage in planned_stages(config):
        shape = shape_of(stage.model) if stage.model else policy
        found.append(estimate_stage(config, stage, shape, machines))
    return found


def plan_report(config: RunConfig, machines: Machines) -> list[str]:
    """The plan as lines of text: stages, totals, critical path, disk, and what does not fit."""
    rows = estimates(config, machines)
    name = f"{machines.nodes}x{machines.per_node}x{machines.device.name}".removeprefix("1x")
    lines = [
        f"{'stage':<38} {'million tokens':>14} {'time':>8} {'GB a device':>12} {'judge calls':>12}"
    ]
    for row in rows:
        stage = row.stage
        tokens = (stage.prompt + stage.new + stage.train) / 1e6
        memory = f"{row.memory / 1e9:.0f}" if row.memory else ""
        note = f"  does not fit: {row.problem}" if row.problem else ""
        lines.append(
            f"{stage.id:<38} {tokens:>14.1f} {_clock(row.seconds):>8} {memory:>12} "
            f"{stage.judge_calls or '':>12}{note}"
        )
    return [*lines, *_totals(config, machines, rows, name)]


def _totals(
    config: RunConfig, machines: Machines, rows: Sequence[StageEstimate], name: str
) -> list[str]:
    shape = shape_of(config.model, config.preset)
    total = sum(row.seconds for row in rows)
    chain, path = critical_path([r.stage for r in rows], {r.stage.id: r.seconds for r in rows})
    calls = sum(row.stage.judge_calls for row in rows)
    disk = disk_bytes(config, shape.weights)
    dollars = total / 3600 * machines.count * machines.device.dollars
    lines = [
        f"{name}: {_clock(total)} one stage after another; the longest chain of stages that wait for "
        f"each other, {_clock(chain)} ({len(path)} stages, to {path[-1] if path else 'none'})",
        f"machines about ${dollars:,.0f} (${machines.device.dollars:.2f} per device and hour); "
        f"{calls:,} judge calls{_judge_dollars(config, calls)}",
        f"disk: {disk['checkpoints'] / 1e9:.0f} GB of checkpoints and {disk['mid-stage'] / 1e9:.0f} GB of "
        "mid-stage ones",
        "assumed: counts and lengths of harness/planning/facts.yaml; hours are rough (a factor of two)",
    ]
    if problems := [row for row in rows if row.problem]:
        worst = max(problems, key=lambda row: row.memory)
        lines.append(
            f"does not fit: {worst.stage.id} needs {worst.memory / 1e9:.0f} GB of "
            f"{machines.device.memory / 1e9:.0f} GB a device: {worst.problem}"
        )
    return lines


def _judge_dollars(config: RunConfig, calls: int) -> str:
    from judges.prices import EXPECTED_COMPLETION_TOKENS, load_prices

    price = load_prices().find(config.judge.name)
    if price is None or not calls:
        return ""
    cost = price.cost(calls * JUDGE_PROMPT, calls * EXPECTED_COMPLETION_TOKENS)
    return f" of {config.judge.name}, about ${cost:,.2f}"


def _clock(value: float) -> str:
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"
