"""What a plan would cost: tokens, time, disk and judge dollars, stage by stage.

Times are rough: the model's floating-point work over what this machine reaches in a matrix product,
with a typical efficiency for each kind of work. Stages that are done show what they took.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.config import RunConfig
from harness.plan import plan_status
from harness.planning.offline import planned_stages
from harness.prepare import Prepared, disk_needed, judge_uses
from harness.run_folder import RunFolder
from harness.stage import Stage
from harness.stages.draw_queries import query_rows
from sso.checkpoints import count_weights

EFFICIENCY = {"prompt": 0.7, "new": 0.25, "train": 0.55}
"""Share of the machine's matrix-product rate that each kind of work typically reaches."""
WRITTEN, TRAINED = 12.0, 3.5
"""Time of a token that is written, or trained on, over that of a prompt's: small batches on a CPU."""
JUDGED_TOKENS = 600
"""Assumed tokens of a call of the local judge."""


@dataclass(frozen=True)
class Cost:
    """Tokens of one stage by kind of work, and calls of the judge."""

    prompt: int = 0
    new: int = 0
    train: int = 0
    judge_calls: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt + self.new + self.train


def stage_costs(prepared: Prepared) -> dict[str, Cost]:
    """Estimated work of every stage of the plan, by id: benchmarks from their data, the rest from the number of
    queries that there are."""
    config = prepared.config
    queries = None
    if config.effective_iterations:
        queries = len(query_rows(prepared.inputs.data, config.queries.file))
    found = {
        stage.id: Cost(stage.prompt, stage.new, stage.train, stage.judge_calls)
        for stage in planned_stages(config, queries)
    }
    evaluations = [stage for stage in prepared.plan if stage.kind == "eval"]
    return found | {stage.id: _eval_cost(stage, prepared) for stage in evaluations}


def _eval_cost(stage: Stage, prepared: Prepared) -> Cost:
    from harness.benchmarks import get_benchmark
    from harness.stages.evaluate import eval_request

    name = stage.id.rsplit("/", 1)[1]
    request = eval_request(prepared.inputs, name)
    load = get_benchmark(name).workload(request)
    return Cost(prompt=load.prompt_tokens, new=load.new_tokens, judge_calls=load.judge_calls)


def seconds(cost: Cost, parameters: int, gflops: float) -> float:
    """Time of the work in seconds: 2N operations per token forward, 8N in training (reference
    log-probabilities included)."""
    forward = 2 * parameters / (gflops * 1e9)
    return forward * (
        cost.prompt / EFFICIENCY["prompt"]
        + cost.new / EFFICIENCY["new"]
        + 4 * cost.train / EFFICIENCY["train"]
    )


def relative_times(prepared: Prepared) -> dict[str, float]:
    """The time of each stage up to a factor, which the machine shows as stages end: a prompt's token
    is 1, a written one ``WRITTEN``, a trained one ``TRAINED``."""
    costs = stage_costs(prepared)
    local = prepared.config.judge.name == "local"

    def work(cost: Cost) -> float:
        judged = JUDGED_TOKENS * cost.judge_calls if local else 0
        return cost.prompt + WRITTEN * cost.new + TRAINED * cost.train + judged

    return {stage.id: work(costs.get(stage.id, Cost())) for stage in prepared.plan}


def machine_gflops(size: int = 1024, repeats: int = 8) -> float:
    """Measured fp32 matrix-product rate of the CPU (or of the first GPU in bf16), GFLOP/s."""
    import time

    import torch

    gpu = torch.cuda.is_available()
    a = torch.randn(size, size)
    if gpu:
        size, a = 8192, torch.randn(8192, 8192, dtype=torch.bfloat16, device="cuda")
    a @ a
    if gpu:
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(repeats):
        a @ a
    if gpu:
        torch.cuda.synchronize()
    return 2 * size**3 * repeats / (time.perf_counter() - started) / 1e9


def plan_table(prepared: Prepared, folder: Path) -> list[str]:
    """The plan as lines of text, totals last."""
    model = prepared.inputs.model
    parameters = 0 if model.source == "server" else count_weights(model.path)
    costs = stage_costs(prepared)
    gflops = machine_gflops()
    status = plan_status(RunFolder(folder), prepared.plan)
    lines = [f"{'stage':<34} {'tokens':>10} {'time':>8} {'judge calls':>12}  state"]
    total_time = 0.0
    total_tokens = total_calls = 0
    for stage in prepared.plan:
        cost = costs[stage.id]
        reason, record = status[stage.id]
        took = record.seconds if record is not None and not reason else 0.0
        guess = seconds(cost, parameters, gflops)
        if reason:
            total_time += guess
            total_tokens += cost.tokens
            total_calls += cost.judge_calls
        shown = f"{took:.0f} s" if not reason else f"~{_clock(guess)}"
        lines.append(
            f"{stage.id:<34} {cost.tokens:>10,} {shown:>8} {cost.judge_calls or '':>12}  "
            f"{reason or 'done'}"
        )
    lines.append(_totals(prepared, total_time, total_tokens, total_calls))
    if uses := judge_uses(prepared.config):
        lines.append("judges: " + ", ".join(f"{u} {prepared.inputs.judge_id(u)}" for u in uses))
    return [*lines, *_prospects(prepared)]


def _prospects(prepared: Prepared) -> list[str]:
    """The smallest difference between two checkpoints that each benchmark could show."""
    from harness.benchmarks import get_benchmark
    from harness.stages.evaluate import eval_request
    from leaderboards.statistics.planned_power import prospect

    found = []
    for name in prepared.config.benchmarks:
        benchmark = get_benchmark(name)
        items = benchmark.workload(eval_request(prepared.inputs, name)).items
        detectable = prospect(benchmark.info, items).detectable
        found.append(f"{name} {detectable:.1f} ({items} items)")
    if not found:
        return []
    return [f"smallest detectable difference (80 % power, two-sided 5 %): {', '.join(found)}"]


def _totals(prepared: Prepared, time: float, tokens: int, calls: int) -> str:
    config: RunConfig = prepared.config
    dollars = 0.0
    judges = prepared.resources.judges(judge_uses(config))
    if judges and calls:  # the dearest judge's price for all calls: an upper estimate
        dollars = max(judge.estimate(calls, calls * 1000) for judge in judges.values())
    disk = disk_needed(config, prepared.inputs.model) / 1e9
    return (
        f"to do: {tokens:,} tokens, about {_clock(time)}, {disk:.1f} GB of disk, "
        f"{calls} judge calls, about ${dollars:.2f}"
    )


def _clock(value: float) -> str:
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"
