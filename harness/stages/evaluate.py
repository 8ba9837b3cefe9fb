"""The stage that runs one benchmark on one checkpoint."""

from __future__ import annotations

from harness.benchmarks import EvalRequest, get_benchmark, load_protocol
from harness.config import RunConfig
from harness.data.sources import DataSource
from harness.stage import Source, Stage, StageOutcome, StageRun
from harness.stages.pair_accuracy import write_results


def eval_request(config: RunConfig, data: DataSource, name: str, seed: int) -> EvalRequest:
    """The configured way to run a benchmark."""
    settings = config.benchmarks[name]
    return EvalRequest(
        data=data,
        protocol=load_protocol(name, settings.protocol),
        limit=settings.limit,
        seed=seed,
        overrides=settings.overrides,
    )


def eval_stage(
    config: RunConfig,
    data: DataSource,
    name: str,
    judge_id: str,
    *,
    stage_id: str,
    model: Source,
    arm: str,
    iteration: int,
    seed: int,
) -> Stage:
    """One benchmark on one checkpoint: answers, item scores, scores."""
    benchmark = get_benchmark(name)
    # The item sample is the same for every checkpoint and seed of a comparison.
    request = eval_request(config, data, name, config.seeds[0])

    def work(run: StageRun) -> StageOutcome:
        from harness.engines import ResumableEngine

        session = run.session
        engine = ResumableEngine(
            session.engine(run.inputs["model"]),
            run.folder / "generations.jsonl",
            private=benchmark.gated and data.kind != "sample",
        )
        benchmark.generate(request, engine, run.folder, run.progress)
        judge = session.judge() if benchmark.needs_judge else None
        outcome = benchmark.score(request, run.folder, judge)
        filled = {"arm": arm, "iteration": iteration, "seed": seed, "model": config.model}
        scores = [score.model_copy(update=filled) for score in outcome.scores]
        write_results(run.folder, list(outcome.items), scores)
        return StageOutcome(
            counts={"items": len(outcome.items)},
            measures={f"{s.metric}": s.value for s in scores if s.headline and s.value is not None},
            tokens=engine.tokens,
        )

    settings = {
        "protocol": request.protocol.name,
        "protocol_version": request.protocol.version,
        "protocol_settings": {**request.protocol.settings, **request.overrides},
        "limit": request.limit,
        "item_seed": request.seed,
        "engine": {"kind": config.engine.kind, "dtype": config.engine.dtype},
    }
    if benchmark.needs_judge:
        settings["judge"] = judge_id
    return Stage(
        id=stage_id,
        kind="eval",
        inputs={"model": model, "data": Source(fingerprint=benchmark.fingerprint(request))},
        settings=settings,
        work=work,
        seed=seed,
        iteration=iteration,
        arm=arm,
    )
