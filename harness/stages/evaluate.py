"""The stage that runs one benchmark on one checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from groundwork.files import replacing
from groundwork.reasoning import more_markers
from harness.benchmarks import EvalRequest, get_benchmark, load_protocol
from harness.benchmarks.judge_ahead import judged_ahead
from harness.engines import engine_identity
from harness.stage import CheckpointKey, PlanInputs, Source, Stage, StageContext, StageResult
from harness.stages.results import write_results


def eval_request(inputs: PlanInputs, name: str) -> EvalRequest:
    """The configured way to run a benchmark: the same items for every checkpoint and seed."""
    settings = inputs.config.benchmarks[name]
    markers = [list(pair) for pair in inputs.config.reasoning_markers]
    overrides = {"reasoning_markers": markers} if markers else {}
    return EvalRequest(
        data=inputs.data,
        protocol=load_protocol(name, settings.protocol),
        limit=settings.limit,
        seed=inputs.config.seeds[0],
        overrides={**overrides, **settings.overrides},
    )


def eval_stage(inputs: PlanInputs, name: str, key: CheckpointKey, model: Source) -> Stage:
    """One benchmark on one checkpoint: answers, item scores, scores."""
    benchmark = get_benchmark(name)
    request = eval_request(inputs, name)
    config = inputs.config

    def answer(run: StageContext) -> int:
        """Write the model's outputs; returns the tokens generated."""
        from harness.engines import ResumableEngine

        if benchmark.info.measures == "reward":
            length = {**request.protocol.settings, **request.overrides}.get("max_length")
            with run.resources.scorer(run.inputs["model"], length) as scorer:
                benchmark.generate(request, scorer, run.folder, run.progress)
            return 0
        take_journals(run.resources.shards.get(name, ()), journal_of(run.folder))
        engine = ResumableEngine(
            run.resources.engine(run.inputs["model"]),
            journal_of(run.folder),
            private=benchmark.info.gated and inputs.data.kind != "sample",
        )
        judge = run.resources.judge(name) if benchmark.needs_judge else None
        judged = getattr(benchmark, "judged", None)
        if judge is None or judged is None:
            benchmark.generate(request, engine, run.folder, run.progress)
        else:
            with judged_ahead(judged(request), judge, engine) as watched:
                benchmark.generate(request, watched, run.folder, run.progress)
        return engine.tokens

    def work(run: StageContext) -> StageResult:
        with more_markers(config.reasoning_markers):
            tokens = answer(run)
        return replace(rescore(run), tokens=tokens)

    def rescore(run: StageContext) -> StageResult:
        """Grade or judge the outputs in the folder."""
        judge = run.resources.judge(name) if benchmark.needs_judge else None
        with more_markers(config.reasoning_markers):
            outcome = benchmark.score(request, run.folder, judge)
        scores = outcome.described(benchmark.info, **key.score_fields(config.model)).scores
        write_results(run.folder, outcome.items, scores)
        return StageResult(
            counts={"items": len(outcome.items)},
            measures={s.metric: s.value for s in scores if s.headline and s.value is not None},
        )

    settings = {
        "protocol": request.protocol.name,
        "protocol_version": request.protocol.version,
        "protocol_settings": {**request.protocol.settings, **request.overrides},
        "limit": request.limit,
        "item_seed": request.seed,
        "engine": engine_identity(config.engine),
        **inputs.template_date,
    }
    if benchmark.needs_judge:
        settings["judge"] = inputs.judge_id(name)
    return Stage(
        id=f"{key.folder}/eval/{name}",
        kind="eval",
        inputs={"model": model, "data": Source(fingerprint=benchmark.fingerprint(request))},
        settings=settings,
        work=work,
        rescore=rescore,
        seed=key.seed,
        iteration=key.iteration,
        arm=key.arm,
    )


def journal_of(folder: Path) -> Path:
    """The journal of an evaluation's answers in its folder."""
    return folder / "generations.jsonl"


def take_journals(shards: Sequence[Path], journal: Path) -> None:
    """Begin a journal with the answers of the shards, line by line; one that is there stays."""
    if shards and not journal.is_file():
        with replacing(journal) as stream:
            for shard in shards:
                with shard.open("rb") as lines:
                    shutil.copyfileobj(lines, stream)
