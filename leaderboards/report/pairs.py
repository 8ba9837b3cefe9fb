"""The preference pairs of the report's browser, with their principles and the judge's verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from leaderboards.records import Score
from leaderboards.report.items import checkpoint_label, in_table_order, info_of, judged_pairs
from leaderboards.report.texts import as_text, step_of, thinned
from leaderboards.runs import Evaluation, Run, read_items, read_lines

TOTAL_LIMIT = 1_600_000
"""Characters of all pairs; beyond, only every k-th pair is kept, with a remark."""
TIE = 1.5

Entry = dict[str, Any]


def collect_pairs(runs: Sequence[Run]) -> tuple[dict[str, list[Entry]], list[str]]:
    """({iteration's name: pairs}, remarks on what was left out).

    A pair: ``id``, ``query``, ``features``, ``good`` and ``bad`` principle, ``chosen``, ``rejected``,
    ``original``, ``generator`` (pairs that trained it), ``result`` and ``orders`` (the judge's verdict
    in both orders, in words), ``logps`` (average log-probabilities).
    """
    found: dict[str, list[Entry]] = {}
    for run in runs:
        for evaluation in in_table_order(run):
            score = evaluation.scores[0] if evaluation.scores else None
            if score is not None and info_of(score).kind == "pairs":
                _add(found, run, evaluation, score, partial(checkpoint_label, runs, run))
    step = step_of(sum(map(_size, (p for pairs in found.values() for p in pairs))), TOTAL_LIMIT)
    return {name: pairs[::step] for name, pairs in found.items()}, thinned(step, "pair")


def _add(
    found: dict[str, list[Entry]],
    run: Run,
    evaluation: Evaluation,
    score: Score,
    label: Callable[[Score], str],
) -> None:
    file = judged_pairs(run, evaluation)
    contrasts = {row["query"]["id"]: row for row in _lines(file.with_name("contrasts.jsonl"))}
    quality = {str(row.get("pair_id")): row for row in _lines(file.with_name("quality.jsonl"))}
    verdicts = {
        str(row.get("item_id")): row for row in _lines(evaluation.folder / "verdicts.jsonl")
    }
    results = {item.item_id: item.category for item in read_items(evaluation.folder)}
    generator: dict[str, list[Entry]] = {}
    for path in sorted(file.parent.parent.glob("*/generator_pairs.jsonl")):
        for row in _lines(path):
            generator.setdefault(str(row.get("query_id")), []).append(row)
    pairs = found.setdefault(label(score), [])
    for row in _lines(file):
        query = str(row.get("query_id", row.get("id")))
        entry = _pair(row, contrasts.get(query, {}), generator.get(query, []))
        entry.update(_judged(verdicts.get(entry["id"], {}), results.get(entry["id"], "")))
        entry["logps"] = _logps(quality.get(entry["id"], {}))
        pairs.append({key: value for key, value in entry.items() if value not in ("", [], None)})


def _pair(row: Entry, contrast: Entry, generator: Sequence[Entry]) -> Entry:
    principle, original = contrast.get("principle") or {}, contrast.get("original") or {}
    prompt = row.get("prompt")
    turns = prompt if isinstance(prompt, list) else []
    alone = turns[0].get("content") if len(turns) == 1 and isinstance(turns[0], dict) else prompt
    return {
        "id": str(row.get("id")),
        "query": as_text(alone),
        "features": [str(name) for name in principle.get("features") or []],
        "good": as_text(principle.get("good")),
        "bad": as_text(principle.get("bad")),
        "chosen": as_text(row.get("chosen")),
        "rejected": as_text(row.get("rejected")),
        "original": as_text(original.get("text")),
        "generator": [
            {
                "kind": str(one.get("kind", "")).replace("generator-", ""),
                "chosen": as_text(one.get("chosen")),
                "rejected": as_text(one.get("rejected")),
            }
            for one in generator
        ],
    }


def _judged(row: Entry, result: str) -> Entry:
    orders = []
    for verdict in row.get("verdicts") or []:
        shown = "y- shown first" if verdict.get("swapped") else "y+ shown first"
        orders.append(
            f"{shown}: {_preference(verdict.get('value'), str(verdict.get('state', '')))}"
        )
    return {"result": str(row.get("result") or result), "orders": orders}


def _preference(value: Any, state: str) -> str:
    if not isinstance(value, int | float):
        return state or "no verdict"
    return "a tie" if value == TIE else "prefers y+" if value < TIE else "prefers y-"


def _logps(row: Entry) -> list[list[Any]]:
    sides = (("chosen_logp", "y+"), ("rejected_logp", "y-"), ("original_logp", "yo"))
    return [[name, round(row[key], 3)] for key, name in sides if isinstance(row.get(key), float)]


def _size(entry: Entry) -> int:
    texts = [str(value) for key, value in entry.items() if key != "generator"]
    made = [text for one in entry.get("generator", ()) for text in one.values()]
    return sum(map(len, (*texts, *made)))


def _lines(path: Path) -> list[Entry]:
    return list(read_lines(path)) if path.is_file() else []
