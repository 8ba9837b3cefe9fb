"""The steps that arms are built of: contrastive sampling, fresh pairs, annotated pairs, training.

Files of a sampling step: ``principles.jsonl``; ``contrasts.jsonl``, all that was sampled;
``dropped.jsonl``, what is not used and why; ``pairs.jsonl``, the policy's pairs;
``generator_pairs.jsonl``, pairs under x+ and x-; ``quality.jsonl``, one line per policy pair. A training
step leaves ``model/`` and ``work/`` (curve, what a resumed training needs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from groundwork.errors import UserError
from groundwork.records import write_records
from groundwork.seeds import item_seed
from groundwork.stage_result import StageResult
from groundwork.stored import ByKey, Lazy, Model, chosen, joined, stored_records
from sso.arms.base import StepContext, TextEngine
from sso.arms.pair_files import write_contrast_pairs, write_pairs
from sso.filters import Dropped, LeakDetector, drop_counts, filter_contrasts, require_some
from sso.objectives import Objective, group_pairs
from sso.pair_metrics import fits_context
from sso.preferences import read_preferences
from sso.principle_writing import make_principles
from sso.principles import PrincipleBook, contrast_prompt, load_principles, plain_prompt
from sso.records import Contrast, Message, PreferencePair, Principle, Query, Response
from sso.sampling import (
    Role,
    SamplingRound,
    bad_pair,
    good_pair,
    sample_contrasts,
    sample_originals,
)
from sso.training import TrainingRun, train

CONTRASTS = "contrasts.jsonl"
DROPPED = "dropped.jsonl"
GENERATOR_PAIRS = "generator_pairs.jsonl"
PREFERENCES = "preferences.jsonl"
PRINCIPLES = "principles.jsonl"


class _Progress:
    """Adds up what sub-steps report and passes the sum on."""

    def __init__(self, ctx: StepContext, total: int) -> None:
        self.done, self.total, self.report = 0, total, ctx.progress
        self.report(0, total)

    def __call__(self, more: int) -> None:
        self.done += more
        self.report(min(self.done, self.total), self.total)


def contrastive_step(
    ctx: StepContext, *, trains_on_original: bool, l_minus_prefers: Role | None = None
) -> StageResult:
    """Principles and contrasts of the iteration's queries, sampled from the policy.

    Where the arm trains on yo it is sampled for all queries and takes part in the filters; else it
    is sampled, if the settings say so, for the kept ones and only measured. ``l_minus_prefers`` is
    the chosen side under x- of the generator's pairs, which are written where it is given.
    """
    settings = ctx.settings
    given, repeated = unique_queries(ctx.queries)
    engine = ctx.engine(ctx.inputs["policy"])
    book, notes = _book(ctx, engine)
    requests = _requests_of_principles(ctx)
    with_original = trains_on_original or settings.sampling.measure_original
    progress = _Progress(ctx, len(given) * (requests + 2 + with_original))
    this_round = _round(ctx, progress)
    every, made = _principles(ctx, engine, given, book, this_round)
    every = _written(ctx, PRINCIPLES, every)
    queries, principles, crowded = _with_room(engine, given, every, book)
    originals = _originals(engine, queries, this_round) if trains_on_original else {}
    contrasts = sample_contrasts(engine, queries, principles, book, this_round, originals)
    contrasts = _written(ctx, CONTRASTS, contrasts)
    kept, dropped = _filtered(ctx, contrasts, LeakDetector(book), crowded)
    if l_minus_prefers is not None:
        both = (p for c in kept for p in (good_pair(c, book), bad_pair(c, book, l_minus_prefers)))
        write_records(ctx.folder / GENERATOR_PAIRS, both)
    if with_original and not trains_on_original:
        originals = _originals(engine, _queries(kept), this_round)
    measures = write_contrast_pairs(ctx, kept, originals, engine)
    return StageResult(
        counts={
            "queries": len(given),
            "repeated_queries": repeated,
            "pairs": len(kept),
            **drop_counts(dropped),
            **made.counts,
        },
        measures={**made.measures, **_dropped_rate(kept, dropped), **measures},
        tokens=made.tokens + _tokens(contrasts) + sum(r.tokens for r in originals.values()),
        notes=notes,
    )


def fresh_pairs_step(ctx: StepContext) -> StageResult:
    """Fresh y+ and y- from the generator, as policy pairs, under the principles of the step ``sample``.

    Queries that the step did not have (the policy's own query set) get principles here. yo of that step
    takes part in the filters and measures, which look at the pairs from the policy's side.
    """
    first = stored_records(ctx.inputs["sample"] / CONTRASTS, Contrast)
    seen = {p.query_id for p in stored_records(ctx.inputs["sample"] / PRINCIPLES, Principle)}
    given, _ = unique_queries(ctx.queries)
    wanted = {query.id for query in given}
    first = chosen(first, [n for n, c in enumerate(first) if c.query.id in wanted])
    more: Sequence[Query] = chosen(given, [n for n, q in enumerate(given) if q.id not in seen])
    progress = _Progress(ctx, 2 * len(first) + (_requests_of_principles(ctx) + 2) * len(more))
    this_round = _round(ctx, progress, "fresh")
    crowded: list[Dropped] = []
    principles: Sequence[Principle] = Lazy(len(first), lambda n: first[n].principle)
    made = StageResult()
    queries: Sequence[Query] = _queries(first)
    if more:
        policy = ctx.engine(ctx.inputs["policy"])
        plain, _ = _book(ctx, policy)
        written, made = _principles(ctx, policy, more, plain, this_round)
        more, written, crowded = _with_room(policy, more, written, plain)
        queries, principles = joined(queries, more), joined(principles, written)
    generator = ctx.engine(ctx.inputs["generator"])
    book, notes = _book(ctx, generator)
    originals = _attached(first)
    contrasts = sample_contrasts(generator, queries, principles, book, this_round, originals)
    contrasts = _written(ctx, CONTRASTS, contrasts)
    kept, dropped = _filtered(ctx, contrasts, LeakDetector(book), crowded)
    measures = write_contrast_pairs(ctx, kept, originals, ctx.engine(ctx.inputs["policy"]))
    return StageResult(
        counts={
            "queries": len(queries) + len(crowded),
            "pairs": len(kept),
            **drop_counts(dropped),
            **made.counts,
        },
        measures={**made.measures, **_dropped_rate(kept, dropped), **measures},
        tokens=made.tokens + _tokens(contrasts),
        notes=notes,
    )


def _requests_of_principles(ctx: StepContext) -> int:
    """Requests per query before its principle is there; none where a stage of its own wrote it."""
    settings = ctx.settings.principles
    if ctx.principles is not None:
        return 0
    return (settings.select == "policy") + (settings.source == "generated")


def _principles(
    ctx: StepContext,
    policy: TextEngine,
    queries: Sequence[Query],
    book: PrincipleBook,
    this_round: SamplingRound,
) -> tuple[Sequence[Principle], StageResult]:
    """The principles of the queries: those written before, else made now.

    Raises:
        UserError: principles were written before, but not for all of these queries.
    """
    if ctx.principles is None:
        writer = ctx.writer or policy
        return make_principles(writer, queries, book, ctx.settings.principles, this_round)
    require_principles(ctx.principles, queries)
    known, ids = ctx.principles, [query.id for query in queries]
    return Lazy(len(ids), lambda n: known[ids[n]]), StageResult()


def require_principles(principles: Mapping[str, Principle], queries: Sequence[Query]) -> None:
    """Raises ``UserError`` where a query has no principle; names how many and one of them."""
    missing = [query.id for query in queries if query.id not in principles]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(queries)} queries have no principle ({missing[0]!r}): "
            "the principles were written for other queries"
        )


def annotated_pairs_step(ctx: StepContext) -> StageResult:
    """This iteration's share of an annotated preference set, as pairs to train on."""
    pairs, dropped, repeated = read_preferences(ctx.inputs["preferences"] / PREFERENCES)
    engine = ctx.engine(ctx.inputs["policy"])
    roomy = _leaves_room(engine, [[pair.prompt] for pair in pairs])
    dropped += [
        Dropped(query_id=pair.id, reason="no_room")
        for pair, fits in zip(pairs, roomy, strict=True)
        if not fits
    ]
    pairs = [pair for pair, fits in zip(pairs, roomy, strict=True) if fits]
    require_some(pairs, dropped)
    write_records(ctx.folder / DROPPED, dropped)
    originals: Mapping[str, Response] = {}
    if ctx.settings.sampling.measure_original:
        progress = _Progress(ctx, len(pairs))
        prompts = {pair.query_id: pair.prompt for pair in pairs}
        originals = sample_originals(engine, prompts, _round(ctx, progress))
    measures = write_pairs(ctx, pairs, originals, engine)
    return StageResult(
        counts={"pairs": len(pairs), "repeated_pairs": repeated, **drop_counts(dropped)},
        measures={**_dropped_rate(pairs, dropped), **measures},
        tokens=sum(r.tokens for r in originals.values()),
        notes=tuple(getattr(engine, "notes", ())),
    )


def train_step(
    ctx: StepContext, files: Sequence[tuple[str, str]], objective: str | Objective
) -> StageResult:
    """Train the policy that enters the iteration on the pairs in ``files`` (input name, file)."""
    pairs = joined(
        *(stored_records(ctx.inputs[name] / file, PreferencePair) for name, file in files)
    )
    return (ctx.train or train)(
        ctx.inputs["policy"],
        group_pairs(pairs),
        objective,
        ctx.settings,
        TrainingRun(
            out=ctx.folder / "model",
            work=ctx.folder / "work",
            seed=item_seed(ctx.seed, ctx.iteration, "", "training"),
            progress=ctx.progress,
        ),
    )


def unique_queries(queries: Sequence[Query]) -> tuple[Sequence[Query], int]:
    """The queries without repeated ones, and how many were repeated.

    Raises:
        UserError: no queries at all, or two different queries under one id.
    """
    if not queries:
        raise UserError("there are no queries to sample from")
    found: dict[str, tuple[int, bytes]] = {}
    for place, query in enumerate(queries):
        text = hashlib.sha256(query.text.encode("utf-8", "surrogatepass")).digest()
        if found.setdefault(query.id, (place, text))[1] != text:
            raise UserError(f"two different queries share the id {query.id!r}")
    return chosen(queries, [place for place, _ in found.values()]), len(queries) - len(found)


def _with_room(
    engine: TextEngine,
    queries: Sequence[Query],
    principles: Sequence[Principle],
    book: PrincipleBook,
) -> tuple[Sequence[Query], Sequence[Principle], list[Dropped]]:
    """The queries whose prompts leave room for a response, and a record of each of the others."""

    def prompts(place: int) -> list[Sequence[Message]]:
        text, principle = queries[place].text, principles[place]
        return [contrast_prompt(book, side, text) for side in (principle.good, principle.bad)]

    fits = _leaves_room(engine, Lazy(len(queries), prompts))
    kept = [i for i, fit in enumerate(fits) if fit]
    crowded = [
        Dropped(query_id=query.id, reason="no_room")
        for query, fit in zip(queries, fits, strict=True)
        if not fit
    ]
    return chosen(queries, kept), chosen(principles, kept), crowded


def _leaves_room(engine: TextEngine, prompts: Sequence[Sequence[Sequence[Message]]]) -> list[bool]:
    """For each item, whether all of its prompts fit the engine's context with a token to spare."""
    render = getattr(engine, "render", None)
    if render is None:
        return [True] * len(prompts)
    return [
        all(fits_context(engine, [render(list(p), add_generation_prompt=True) for p in several]))
        for several in prompts
    ]


def _book(ctx: StepContext, engine: TextEngine) -> tuple[PrincipleBook, tuple[str, ...]]:
    """The principles, their turn decided, and notes on that and on how the engine runs the model."""
    role = ctx.settings.principles.system_role
    notes = tuple(getattr(engine, "notes", ()))
    if role == "auto":
        role = "system" if _takes_system_turn(engine) else "user"
        if role == "user":
            notes = (*notes, "guidelines are in the user's turn: the template has no system turn")
    book = load_principles(ctx.settings.principles.file)
    return book.model_copy(update={"system_role": role}), notes


def _takes_system_turn(engine: TextEngine) -> bool:
    """Whether the engine's chat template writes a system turn's text."""
    render = getattr(engine, "render", None)
    if render is None:
        return True
    try:
        turns = [{"role": "system", "content": "Zq7"}, {"role": "user", "content": "x"}]
        return "Zq7" in render(turns, add_generation_prompt=True)
    except UserError:
        return False


def _round(ctx: StepContext, progress: _Progress, name: str = "contrast") -> SamplingRound:
    return SamplingRound(ctx.settings.sampling, ctx.iteration, ctx.seed, name, progress)


def _originals(
    engine: TextEngine, queries: Sequence[Query], this_round: SamplingRound
) -> Mapping[str, Response]:
    ids = [query.id for query in queries]
    prompts = ByKey(ids, Lazy(len(ids), lambda n: plain_prompt(queries[n].text)))
    return sample_originals(engine, prompts, this_round)


def _queries(contrasts: Sequence[Contrast]) -> Lazy[Query]:
    return Lazy(len(contrasts), lambda n: contrasts[n].query)


def _attached(contrasts: Sequence[Contrast]) -> Mapping[str, Response]:
    """yo of the contrasts that have one, by query id."""
    places = {c.query.id: n for n, c in enumerate(contrasts) if c.original is not None}
    with_one = list(places.values())
    return ByKey(list(places), Lazy(len(with_one), lambda n: _original(contrasts[with_one[n]])))


def _original(contrast: Contrast) -> Response:
    assert contrast.original is not None
    return contrast.original


def _written(ctx: StepContext, file: str, records: Sequence[Model]) -> Sequence[Model]:
    """Writes the records one by one; from then on they are read from the file."""
    write_records(ctx.folder / file, records)
    return stored_records(ctx.folder / file, type(records[0])) if records else records


def _filtered(
    ctx: StepContext,
    contrasts: Sequence[Contrast],
    leaks: LeakDetector,
    already: Sequence[Dropped] = (),
) -> tuple[Sequence[Contrast], list[Dropped]]:
    keep = ctx.settings.sampling.keep_truncated
    kept, dropped = filter_contrasts(contrasts, leaks, keep_truncated=keep, already=already)
    write_records(ctx.folder / DROPPED, dropped)
    return kept, dropped


def _dropped_rate(kept: Sequence[object], dropped: Sequence[Dropped]) -> dict[str, float]:
    return {"dropped_rate": len(dropped) / (len(kept) + len(dropped))}


def _tokens(contrasts: Sequence[Contrast]) -> int:
    return sum(c.good.tokens + c.bad.tokens for c in contrasts)
