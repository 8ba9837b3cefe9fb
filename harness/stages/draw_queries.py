"""The stages that draw what the arms train on: queries, and annotated preferences."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundwork.conversations import PROMPT_FIELDS, read_messages, read_preference
from groundwork.files import digest, numbered_json_lines, write_json, write_json_lines
from groundwork.stored import ByKey, Lazy, chosen, digest_of_rows, stored_rows
from harness.config import RunConfig
from harness.data import DataSource, open_source
from harness.errors import DataError
from harness.stage import PlanInputs, Source, Stage, StageContext, StageResult

QUERY_FILES = ("queries/queries.jsonl",)
PREFERENCE_FILES = (
    "preference/preferences.jsonl",
    "preference/ultrafeedback_binarized.jsonl",
    "preference/ultrafeedback_binarized_1000.jsonl",
)


def query_rows(data: DataSource, file: str | None) -> Sequence[dict[str, Any]]:
    """Rows ``{"query", "id", "source"}``: a user's file, the source's queries, or the prompts of its
    preference set where it has no queries of its own.

    A query stands under ``query`` or another usual name (``prompt``, ``instruction``, ``question``);
    of messages the first one by the user counts. Rows of JSON lines stay in the file and are read one by one.

    Raises:
        DataError: no such file, a row without a query, or no row at all (file and line).
    """
    place = file or data.label
    lines = _lines(data, file)
    rows: Sequence[dict[str, Any]]
    if lines is not None:
        rows = _usable_lines(lines, place)
    else:
        found = (_row(row, f"{place}:{n}") for n, row in _numbered(data, file))
        rows = [row for row in found if row["query"].strip()]
    if not rows:
        raise DataError(f"no queries in {place}: the query set is empty")
    return rows


def _lines(data: DataSource, file: str | None) -> Path | None:
    """The file of queries where it is one of plain JSON lines."""
    path = Path(file) if file is not None else data.find(*QUERY_FILES)
    return path if path is not None and path.is_file() and path.suffix == ".jsonl" else None


def _numbered(data: DataSource, file: str | None) -> list[tuple[int, dict[str, Any]]]:
    if file is not None:
        path = Path(file)
        return open_source(path.parent or Path()).numbered_rows(path.name)
    if data.find(*QUERY_FILES):
        return data.numbered_rows(*QUERY_FILES)
    return [
        (n, {"query": _query(row, f"{data.label}:{n}"), "source": "preference"})
        for n, row in data.numbered_rows(*PREFERENCE_FILES)
    ]


def _usable_lines(path: Path, place: str) -> Lazy[dict[str, Any]]:
    """The rows of a file of JSON lines that hold a query, each looked at once here."""
    numbers = [
        number
        for number, row in numbered_json_lines(path)
        if _row(row, f"{place}:{number}")["query"].strip()
    ]
    rows = stored_rows(path, numbers)
    return Lazy(len(rows), lambda n: _row(rows[n], f"{place}:{numbers[n]}"))


def _row(row: dict[str, Any], place: str) -> dict[str, Any]:
    found = {**row, "query": _query(row, place)}
    found.setdefault("id", digest(found["query"]))
    found.setdefault("source", "")
    return found


def _query(row: dict[str, Any], place: str) -> str:
    names = ("query", *PROMPT_FIELDS, "chosen")
    name = next((name for name in names if row.get(name) is not None), None)
    if name is None:
        raise DataError(f"{place}: the row has no query ({', '.join(names[:4])}, messages)")
    value = row[name]
    if isinstance(value, (list, dict)):
        users = [
            m["content"] for m in read_messages(value, f"{place}: {name}") if m["role"] == "user"
        ]
        value = users[0] if users else ""
    if not isinstance(value, str):
        raise DataError(f"{place}: the query is no text: {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        reason = "the query holds a lone surrogate, which no tokenizer reads"
        raise DataError(f"{place}: {reason}") from None
    return value


def preference_rows(data: DataSource, file: str | None) -> list[dict[str, Any]]:
    """Rows ``{"id", "prompt", "chosen", "rejected"}`` of a user's file or the data source, in any of
    the shapes that ``groundwork.conversations`` reads; texts stay as they are.

    Raises:
        UserError: no such file, no row, or a row that is no preference pair (file and line).
    """
    if file is not None:
        path = Path(file)
        rows = open_source(path.parent or Path()).numbered_rows(path.name)
    else:
        rows = data.numbered_rows(*PREFERENCE_FILES)
    if not rows:
        raise DataError(f"no preference pairs in {file or data.label}")
    found: dict[str, dict[str, Any]] = {}
    for number, row in rows:
        pair = read_preference(row, f"{file or data.label}:{number}")
        plain = all(isinstance(row.get(key), str) for key in ("prompt", "chosen", "rejected"))
        kept = {
            **row,
            "prompt": list(pair.prompt),
            "chosen": pair.chosen,
            "rejected": pair.rejected,
        }
        kept = dict(row) if plain else kept
        kept.setdefault("id", digest([kept["prompt"], kept["chosen"], kept["rejected"]]))
        if (earlier := found.get(str(kept["id"]))) is not None:
            if kept == earlier:
                continue
            kept["id"] = f"{kept['id']}#{number}"
        found[str(kept["id"])] = kept
    return list(found.values())


def shares(
    rows: Sequence[dict[str, Any]], iterations: int, per_iteration: int | None, seed: int
) -> list[Sequence[dict[str, Any]]]:
    """Disjoint shares of the rows, one per iteration, in an order drawn from ``seed``.

    With ``per_iteration`` more iterations extend the list without changing earlier shares. A set
    that is too small starts again from its beginning.
    """
    ids = [str(row["id"]) for row in rows]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    random.Random(f"shares:{seed}").shuffle(order)
    size = per_iteration or max(1, len(order) // max(iterations, 1))
    taken: list[Sequence[dict[str, Any]]] = []
    for number in range(iterations):
        begin = number * size
        places = range(begin, begin + min(size, len(order)))
        taken.append(chosen(rows, [order[i % len(order)] for i in places]))
    return taken


def share_size(config: RunConfig, per_iteration: int | None) -> int | None:
    """Rows of one share; offline training takes all iterations' rows at once."""
    if per_iteration is None or config.mode == "online":
        return per_iteration
    return per_iteration * max(config.iterations, 1)


def queries_stage(inputs: PlanInputs, seed: int, folder: str) -> Stage:
    """Draws each iteration's queries, without those that a benchmark contains."""
    config, settings = inputs.config, inputs.config.queries
    rows = query_rows(inputs.data, settings.file)
    own = query_rows(inputs.data, settings.generator_file) if settings.generator_file else []

    def work(run: StageContext) -> StageResult:
        kept, generators, dropped = _usable(inputs, run.folder, rows, own)
        drawn = draw_queries(config, kept, generators, seed)
        for name, share in drawn.items():
            lines = (
                {"v": 1, "id": str(r["id"]), "text": r["query"], "source": r["source"]}
                for r in share
            )
            write_json_lines(run.folder / name / "queries.jsonl", lines)
        return StageResult(
            counts={"queries": len(kept), "dropped_contaminated": dropped, "given": len(rows)}
        )

    return Stage(
        id=folder,
        kind="data",
        inputs={"queries": Source(fingerprint=digest_of_rows(*([rows, own] if own else [rows])))},
        settings={
            "queries": {k: v for k, v in settings.model_dump().items() if not _later(k, v)},
            "mode": config.mode,
            "iterations": config.effective_iterations,
            "benchmarks": _checked_against(config),
        },
        work=work,
        seed=seed,
    )


def draw_queries(
    config: RunConfig, rows: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]], seed: int
) -> dict[str, Sequence[dict[str, Any]]]:
    """Shares by folder: ``iter-N`` of the policy and, where a generator is trained on other queries,
    ``iter-N-generator``: the first ones of the policy's share, or a share of its own set ``own``."""
    settings, iterations = config.queries, config.effective_iterations
    size = share_size(config, settings.per_iteration)
    drawn = shares(rows, iterations, size, seed)
    found = {policy_queries(number): share for number, share in enumerate(drawn, 1)}
    if settings.generator_has_own:
        size = share_size(config, settings.generator)
        subset = shares(own, iterations, size, seed) if own else [s[:size] for s in drawn]
        found |= {generator_queries(number): share for number, share in enumerate(subset, 1)}
    return found


def policy_queries(iteration: int) -> str:
    """Folder of the policy's queries within the stage."""
    return f"iter-{iteration}"


def generator_queries(iteration: int) -> str:
    """Folder of the generator's queries within the stage, where it has its own."""
    return f"iter-{iteration}-generator"


def drawn_ids(inputs: PlanInputs, seed: int) -> set[str]:
    """Ids of all queries that the stage of that seed will draw; reads the benchmarks' questions."""
    settings = inputs.config.queries
    rows = query_rows(inputs.data, settings.file)
    own = query_rows(inputs.data, settings.generator_file) if settings.generator_file else []
    kept, generators, _ = _usable(inputs, None, rows, own)
    drawn = draw_queries(inputs.config, kept, generators, seed)
    return {str(row["id"]) for share in drawn.values() for row in share}


def _usable(
    inputs: PlanInputs,
    folder: Path | None,
    rows: Sequence[dict[str, Any]],
    own: Sequence[dict[str, Any]],
) -> tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]], int]:
    """The queries without those that a benchmark contains, and how many of ``rows`` are gone."""
    kept, dropped = rows, 0
    if inputs.config.queries.contamination == "drop":
        kept, dropped = _without_benchmark_items(inputs, folder, rows)
        own = _without_benchmark_items(inputs, None, own)[0] if own else own
    if not kept:
        raise DataError("every query overlaps with a benchmark: the query set is empty")
    return kept, own, dropped


def _later(key: str, value: Any) -> bool:
    """A key that came later, at its default: records from before it have none."""
    return key in ("generator", "generator_file", "checked_against") and value is None


def _checked_against(config: RunConfig) -> list[str]:
    """Benchmarks whose questions are no queries."""
    named = config.queries.checked_against
    return sorted(config.benchmarks if named is None else named)


def _without_benchmark_items(
    inputs: PlanInputs, folder: Path | None, rows: Sequence[dict[str, Any]]
) -> tuple[Sequence[dict[str, Any]], int]:
    from harness.contamination import find_overlaps

    ids = [str(row["id"]) for row in rows]
    overlaps = find_overlaps(
        ByKey(ids, Lazy(len(ids), lambda n: str(rows[n]["query"]))),
        inputs.data,
        _checked_against(inputs.config),
    )
    if folder is not None:
        write_json(folder / "contamination.json", [vars(o) for o in overlaps])
    bad = {overlap.query_id for overlap in overlaps}
    kept = [n for n, query_id in enumerate(ids) if query_id not in bad]
    return chosen(rows, kept), len(rows) - len(kept)


def preferences_stage(inputs: PlanInputs, seed: int, folder: str) -> Stage:
    """Draws each iteration's share of the annotated preference pairs."""
    config = inputs.config
    rows = preference_rows(inputs.data, config.preferences.file)

    def work(run: StageContext) -> StageResult:
        given = config.preferences.per_iteration or config.queries.per_iteration
        size = share_size(config, given)
        drawn = shares(rows, config.effective_iterations, size, seed)
        for number, share in enumerate(drawn, 1):
            lines = [{key: r[key] for key in ("id", "prompt", "chosen", "rejected")} for r in share]
            write_json_lines(run.folder / f"iter-{number}" / "preferences.jsonl", lines)
        return StageResult(counts={"pairs": len(rows)})

    return Stage(
        id=folder,
        kind="data",
        inputs={"preferences": Source(fingerprint=digest(rows))},
        settings={
            "preferences": config.preferences.model_dump(),
            "per_iteration": config.queries.per_iteration,
            "iterations": config.effective_iterations,
        },
        work=work,
        seed=seed,
    )
