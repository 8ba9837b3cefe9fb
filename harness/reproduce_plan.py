"""What reproducing a table would take, before anything is fetched: stages, GPU hours, judge dollars.

The paper's models and data need not be here: items are counted at their full size, the work of a stage is that
of ``harness.estimate`` on one GPU of ``GPU_GFLOPS``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from harness.config import RunConfig
from harness.estimate import Cost, seconds, stage_costs
from harness.experiments import Experiment, experiments
from harness.prepare import Prepared
from harness.reproduce import Options, PlannedRun, planned_runs, run_name
from harness.stage import PlanInputs, Stage

GPU_GFLOPS = 700_000.0
"""What an 80 GB GPU of the H100's kind reaches in a large bf16 product."""
QUICK_GFLOPS = 150.0
"""What two CPU cores reach in float32."""
FULL_ITEMS = {
    "alpaca_eval": 805, "mt_bench": 160, "gpqa": 448, "mmlu_pro": 12032, "math": 500, "gsm8k": 1319,
    "mmlu": 14042, "ifeval": 541, "arena_hard": 500, "rewardbench": 2985,
}  # fmt: skip
QUERIES = {"v1": 20_000, "v2": 60_000}
"""UltraFeedback's queries of an iteration."""
REWARD_PAIRS = 77_000
PROMPT_TOKENS_PER_CALL, REPLY_TOKENS_PER_CALL = 1000, 300


@dataclass(frozen=True)
class RunEstimate:
    """One run folder: its stages by kind and what is left to do."""

    run: PlannedRun
    stages: dict[str, int]
    tokens: int
    hours: float
    judge_calls: int
    dollars: float


def estimates(experiment: Experiment, options: Options) -> list[RunEstimate]:
    """Every run of the experiment with its estimate. Raises as ``planned_runs``; a checkpoint that is not
    public need not be named."""
    named = [run.model for run in experiment.runs] if options.scale == "paper" else []
    private = {model: model for model in named if model.endswith("-SFT")}
    planned = replace(options, models={**private, **options.models})
    return [_estimate(experiment, plan, planned) for plan in planned_runs(experiment, planned)]


def plan_lines(experiment: Experiment, options: Options) -> list[str]:
    """The plan as lines of text, totals last; names the other targets that share a run."""
    found = estimates(experiment, options)
    lines = [f"{experiment.name}: {experiment.title}"]
    for each in found:
        config = each.run.config
        what = config.reward.name if each.run.reward else ", ".join(config.methods) or "base"
        kinds = ", ".join(f"{count} {kind}" for kind, count in each.stages.items())
        lines.append(
            f"run {each.run.folder.name}: {what}; {kinds}; {each.tokens / 1e6:,.1f} M tokens, "
            f"{each.hours:,.1f} {_unit(options)}, {each.judge_calls:,} judge calls, "
            f"${each.dollars:,.2f}"
        )
    for name, targets in _sharing(experiment, options).items():
        lines.append(f"  {name} is shared with {', '.join(targets)}")
    hours, dollars = sum(e.hours for e in found), sum(e.dollars for e in found)
    lines.append(
        f"in all: {sum(sum(e.stages.values()) for e in found)} stages, {hours:,.1f} {_unit(options)}, "
        f"{sum(e.judge_calls for e in found):,} judge calls, about ${dollars:,.2f}"
    )
    lines += [experiment.note] if experiment.note else []
    return lines


def _unit(options: Options) -> str:
    return "CPU hours" if options.scale == "quick" else "GPU hours"


def _sharing(experiment: Experiment, options: Options) -> dict[str, list[str]]:
    mine = {run_name(run, options.scale, experiment.version) for run in experiment.runs}
    found: dict[str, list[str]] = {}
    for other in experiments().values():
        if other.name == experiment.name:
            continue
        for name in {run_name(run, options.scale, other.version) for run in other.runs} & mine:
            found.setdefault(name, []).append(other.name)
    return found


def _estimate(experiment: Experiment, plan: PlannedRun, options: Options) -> RunEstimate:
    from harness.plan import build_plan
    from harness.reward_run import reward_plan

    quick = options.scale == "quick"
    config = plan.config if quick else _full_size(plan.config, experiment.version)
    inputs = _stand_in(config)
    name = config.reward.name or "reward"
    stages = reward_plan(inputs, [], name) if plan.reward else build_plan(inputs)
    parameters, gflops = _parameters(config.model), QUICK_GFLOPS if quick else GPU_GFLOPS
    total, calls, hours = 0, 0, 0.0
    costs = stage_costs(Prepared(inputs, stages, None))  # type: ignore[arg-type]
    for stage in stages:
        cost = _cost(stage, costs.get(stage.id, Cost()), inputs, full=not quick)
        size = _parameters(config.writer.model or "") if _writes(stage) else parameters
        hours += seconds(cost, size, gflops) / 3600
        total += cost.tokens
        calls += cost.judge_calls
    kinds = Counter(stage.kind for stage in stages)
    return RunEstimate(
        plan, {str(k): n for k, n in kinds.items()}, total, hours, calls, _dollars(config, calls)
    )


def _full_size(config: RunConfig, version: str) -> RunConfig:
    """The configuration with the number of queries that the paper's data give it."""
    given = config.queries.per_iteration or QUERIES[version]
    queries = config.queries.model_copy(update={"per_iteration": given})
    return config.model_copy(update={"queries": queries})


def _stand_in(config: RunConfig) -> PlanInputs:
    """Inputs of the plan without the model and on the sample data."""
    from harness.data import open_source
    from harness.models import ResolvedModel

    stub = ResolvedModel(Path(config.model), "hub", config.model, "-" * 64)
    changed = {"principles_from": None}
    return PlanInputs(config.model_copy(update=changed), open_source("sample"), stub)


def _writes(stage: Stage) -> bool:
    return stage.kind == "sample" and not stage.arm


def _cost(stage: Stage, cost: Cost, inputs: PlanInputs, *, full: bool) -> Cost:
    from harness.benchmarks import get_benchmark
    from harness.stages.evaluate import eval_request

    if stage.id.endswith("/reward"):
        return Cost(train=REWARD_PAIRS * 800 if full else 50_000)
    if stage.kind != "eval" or not full:
        return cost
    name = stage.id.rsplit("/", 1)[1]
    items = get_benchmark(name).workload(eval_request(inputs, name)).items
    scale = FULL_ITEMS[name] / items
    usual = min(1.0, 500 / max(cost.new / max(items, 1), 1))  # answers end well before their limit
    return replace(
        cost,
        prompt=int(cost.prompt * scale),
        new=int(cost.new * scale * usual),
        judge_calls=int(cost.judge_calls * scale),
    )


def _parameters(model: str) -> int:
    """Weights, from the size in a model's name; the quick-start model's where there is none."""
    import re

    found = re.search(r"(\d+(?:\.\d+)?)\s*[bB](?![a-zA-Z])", model)
    return int(float(found[1]) * 1e9) if found else 135_000_000


def _dollars(config: RunConfig, calls: int) -> float:
    from judges.prices import load_prices

    price = load_prices(Path(config.judge.prices) if config.judge.prices else None)
    found = price.find(config.judge.name)
    if found is None:
        return 0.0
    return found.cost(calls * PROMPT_TOKENS_PER_CALL, calls * REPLY_TOKENS_PER_CALL)
