"""The stage that gives an iteration's queries their principles, once for every arm: written by another
model than the policy, or taken from another run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from groundwork.errors import UserError
from groundwork.files import file_sha256
from groundwork.records import read_records, write_records
from harness.config import RunConfig
from harness.errors import DataError
from harness.stage import PlanInputs, Source, Stage, StageContext, StageResult
from harness.stages.draw_queries import generator_queries, policy_queries
from sso.records import Principle, Query

FILE = "principles.jsonl"
FOLDER = "principles"
ENGINE_KEYS = ("model", "kind", "dtype", "base_url")
"""What of a writer's settings can move a text."""


def read_principles(path: Path) -> dict[str, Principle]:
    """Principles by query id: of a ``principles.jsonl``, of a folder that holds one, or of all
    principle stages of a run (of its sampling steps, where the policy wrote its own).

    Raises:
        UserError: there are none, or two different ones of a query.
    """
    files = [path] if path.is_file() else [path / FILE] if (path / FILE).is_file() else []
    files = files or sorted(path.glob(f"**/{FOLDER}-*/{FILE}"))
    files = files or sorted(path.glob(f"**/iter-*/*/{FILE}"))
    if not files:
        raise UserError(f"{path} holds no {FILE}: give a run with written principles, or the file")
    found: dict[str, Principle] = {}
    for file in files:
        for principle in read_records(file, Principle):
            if found.setdefault(principle.query_id, principle) != principle:
                raise UserError(
                    f"{path}: query {principle.query_id!r} has two different principles; name one file"
                )
    return found


def principles_file(run: Path) -> str:
    """Fingerprint of the principles that ``read_principles`` finds."""
    from groundwork.files import digest

    found = read_principles(run)
    return digest([found[name].model_dump() for name in sorted(found)])


def principles_stage(
    inputs: PlanInputs, seed: int, iteration: int, prefix: str, queries: str
) -> Stage:
    """One iteration's principles; ``queries`` is the stage that draws its queries.

    The writer is opened for the stage, after other models have left memory, and closed after it.
    """
    config = inputs.config
    shares = {"queries": Source(stage=queries, output=policy_queries(iteration))}
    if config.queries.generator_has_own:
        shares["generator"] = Source(stage=queries, output=generator_queries(iteration))
    taken = config.principles_from

    def work(run: StageContext) -> StageResult:
        given = _queries(run.inputs)
        if taken is not None:
            return _take(Path(taken), given, run.folder)
        return _write(run, config, given, seed, iteration)

    sources = dict(shares)
    if taken is not None:
        sources["principles"] = Source(fingerprint=principles_file(Path(taken)))
    return Stage(
        id=f"{prefix}{FOLDER}-{iteration}",
        kind="data" if taken is not None else "sample",
        inputs=sources,
        settings={} if taken is not None else _settings(config),
        work=work,
        seed=seed,
        iteration=iteration,
    )


def _settings(config: RunConfig) -> dict[str, object]:
    sampling = config.sampling
    found: dict[str, object] = {
        "principles": config.principles.model_dump(exclude={"system_role", "file"}),
        "sampling": {"temperature": sampling.temperature, "top_p": sampling.top_p},
        "writer": config.writer.model_dump(include=set(ENGINE_KEYS)),
    }
    if config.principles.file is not None:
        found["principles_file"] = file_sha256(Path(config.principles.file))
    return found


def _queries(inputs: Mapping[str, Path]) -> list[Query]:
    """The policy's queries and those of the generator that are not among them."""
    found: dict[str, Query] = {}
    for name in ("queries", "generator"):
        if name in inputs:
            for query in read_records(inputs[name] / "queries.jsonl", Query):
                found.setdefault(query.id, query)
    return list(found.values())


def _take(run: Path, queries: list[Query], folder: Path) -> StageResult:
    from sso.arms.steps import require_principles

    known = read_principles(run)
    require_principles(known, queries)
    write_records(folder / FILE, [known[query.id] for query in queries])
    return StageResult(counts={"queries": len(queries)})


def _write(
    run: StageContext, config: RunConfig, queries: list[Query], seed: int, iteration: int
) -> StageResult:
    from harness.engines import ResumableEngine
    from sso.principle_writing import make_principles
    from sso.principles import load_principles
    from sso.sampling import SamplingRound

    done = [0]
    total = len(queries) * (1 + (config.principles.select == "policy"))

    def more(count: int) -> None:
        done[0] += count
        run.progress(min(done[0], total), total)

    this_round = SamplingRound(config.sampling, iteration, seed, FOLDER, more)
    with run.resources.writer() as writer:
        engine = ResumableEngine(writer, run.folder / "generations.jsonl")
        book = load_principles(config.principles.file)
        principles, result = make_principles(engine, queries, book, config.principles, this_round)
    write_records(run.folder / FILE, principles)
    counts = {"queries": len(queries), **result.counts}
    return StageResult(counts, result.measures, result.tokens)


def check_principles_from(inputs: PlanInputs) -> None:
    """Before anything runs: the other run has a principle for every query that will be drawn.

    Raises:
        DataError: it lacks some; says how many and names one.
    """
    from harness.stages.draw_queries import drawn_ids

    taken = inputs.config.principles_from
    if taken is None or not inputs.config.effective_iterations:
        return
    known = read_principles(Path(taken))
    for seed in inputs.config.seeds:
        missing = sorted(drawn_ids(inputs, seed) - set(known))
        if missing:
            raise DataError(
                f"{taken} has no principles for {len(missing)} queries of this run ({missing[0]!r}): "
                "they were written for other queries (the same data, seed and queries settings draw the "
                "same ones)"
            )
