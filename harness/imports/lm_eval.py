"""Results of lm-evaluation-harness: ``results_*.json`` and, beside them, ``samples_TASK_*.jsonl``.

A group of tasks (MMLU's subjects) is one benchmark with a score per subtask. The protocol id is
``lm-eval:TASK@VERSION/N-shot`` with what else the file tells about the prompts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from groundwork.files import numbered_json_lines
from harness.data.sources import DataSource
from harness.imports.result import (
    ImportedResult,
    benchmark_of,
    figure,
    imported_mark,
    info_of,
    is_share,
    object_of,
    short,
)
from leaderboards.records import ItemScore, Score

HEADLINES = ("strict-match", "custom-extract", "flexible-extract", "get_response", "score-first")
"""Filters whose figure stands for the task, in this order, else the file's first metric."""
HEADLINE_METRICS = ("prompt_level_strict_acc", "math_verify", "acc_norm", "acc", "exact_match")


def read(path: Path, data: DataSource) -> list[ImportedResult]:
    """The results of a results file, or of all those below a folder (of one task run twice, the last).

    Raises:
        UserError: no results file, or one that is none of lm-eval's.
    """
    files = [path] if path.is_file() else sorted(path.rglob("results_*.json"))
    if not files:
        raise UserError(f"{path} holds no results_*.json of lm-eval (--output_path writes them)")
    newest: dict[tuple[str, str], ImportedResult] = {}
    dated = sorted(((object_of(f, "a results file of lm-eval"), f) for f in files), key=_date)
    for raw, file in dated:
        for result in _results(raw, file):
            newest[result.model, result.benchmark] = result
    return list(newest.values())


def _date(dated: tuple[Mapping[str, Any], Path]) -> tuple[float, str]:
    raw, file = dated
    date = raw.get("date")
    return (float(date) if isinstance(date, (int, float)) else 0.0, file.name)


def _results(raw: Mapping[str, Any], file: Path) -> Iterator[ImportedResult]:
    tasks = raw.get("results")
    if not isinstance(tasks, dict) or not all(isinstance(t, dict) for t in tasks.values()):
        raise UserError(f"{file} is not a results file of lm-eval: no object 'results'")
    listed = raw.get("group_subtasks") or {}
    groups = {name: children for name, children in listed.items() if children and name in tasks}
    inner = {child for children in groups.values() for child in children}
    for task in tasks:
        if task not in inner:
            yield _one_task(raw, file, task, [c for c in groups.get(task, ()) if c in tasks])


def _one_task(
    raw: Mapping[str, Any], file: Path, task: str, children: Sequence[str]
) -> ImportedResult:
    benchmark = benchmark_of(task)
    leaves = list(_leaves(raw, task))
    items = [item for leaf in leaves for item in _items(file, leaf, benchmark)]
    figures = _figures(raw["results"][task]) or _figures(
        raw["results"][children[0]] if children else {}
    )
    if not figures:
        raise UserError(f"{file}: task {task!r} has no figure")
    headline = _headline(figures)
    made = [_score(raw, task, leaves, metric, headline == metric) for metric in figures]
    made += [_score(raw, child, [child], headline, False, category=child) for child in children]
    info = info_of(benchmark)
    described = [
        score.model_copy(
            update={"benchmark": benchmark, "info": info.of_score(score.metric, score.headline)}
        )
        for score in made
        if score is not None
    ]
    version = str(raw.get("lm_eval_version") or "")
    return ImportedResult(
        _model(raw, file), benchmark, tuple(described), tuple(items), file, version
    )


def _leaves(raw: Mapping[str, Any], task: str) -> Iterator[str]:
    children = (raw.get("group_subtasks") or {}).get(task) or []
    if not children:
        yield task
    for child in children:
        yield from _leaves(raw, child)


def _figures(results: Mapping[str, Any]) -> list[str]:
    """The keys ``metric,filter`` of a task's figures."""
    return [k for k in results if "," in k and "_stderr," not in k]


def _headline(figures: Sequence[str]) -> str:
    for wanted in HEADLINES:
        for key in figures:
            if key.split(",", 1)[1] == wanted:
                return key
    for wanted in HEADLINE_METRICS:
        for key in figures:
            if key.split(",", 1)[0] == wanted:
                return key
    return figures[0]


def metric_name(key: str) -> str:
    """Our name of a figure: its filter (``strict_match``) where the task has one, else its metric."""
    metric, _, chosen = key.partition(",")
    return metric if chosen in ("", "none") else chosen.replace("-", "_")


def _score(
    raw: Mapping[str, Any],
    task: str,
    leaves: Sequence[str],
    key: str,
    headline: bool,
    category: str = "",
) -> Score | None:
    results = raw["results"][task]
    metric, _, chosen = key.partition(",")
    if key not in results:
        return None
    counts = [(raw.get("n-samples") or {}).get(leaf) or {} for leaf in leaves]
    n = sum(int(c.get("effective") or 0) for c in counts)
    original = sum(int(c.get("original") or 0) for c in counts)
    limited = ("item-limit",) if n < original else ()
    return Score(
        benchmark=task,
        metric=metric_name(key),
        value=figure(results[key], metric),
        stderr=figure(results.get(f"{metric}_stderr,{chosen}"), metric),
        unit="percent" if is_share(metric) else "points",
        n=n,
        n_expected=n,
        protocol=_protocol(raw, task, leaves),
        settings=_settings(raw, leaves),
        data="lm-eval",
        marks=(imported_mark("lm-eval"), *limited),
        headline=headline,
        category=category,
    )


def _protocol(raw: Mapping[str, Any], task: str, leaves: Sequence[str]) -> str:
    versions, shots = raw.get("versions") or {}, raw.get("n-shot") or {}
    version = versions.get(task, versions.get(leaves[0], "?"))
    shot = shots.get(task, shots.get(leaves[0], "?"))
    chat = "/chat" if raw.get("chat_template") else ""
    multiturn = "-multiturn" if chat and raw.get("fewshot_as_multiturn") else ""
    return f"lm-eval:{task}@{version}/{shot}-shot{chat}{multiturn}"


def _settings(raw: Mapping[str, Any], leaves: Sequence[str]) -> dict[str, str]:
    own = (raw.get("configs") or {}).get(leaves[0]) or {}
    config = raw.get("config") or {}
    return short(
        {
            "lm_eval_version": raw.get("lm_eval_version"),
            "model_args": config.get("model_args"),
            "generation_kwargs": own.get("generation_kwargs"),
            "dataset": own.get("dataset_path"),
            "limit": config.get("limit"),
            "gen_kwargs": config.get("gen_kwargs"),
        }
    )


def _model(raw: Mapping[str, Any], file: Path) -> str:
    """The model's name: as given to lm-eval, else the folder that lm-eval names after it."""
    config = raw.get("config") or {}
    args = config.get("model_args") or ""
    if isinstance(args, Mapping):
        args = ",".join(f"{k}={v}" for k, v in args.items())
    given = re.search(r"(?:^|,)(?:pretrained|model)=([^,]+)", str(args))
    name = raw.get("model_name") or (given[1] if given else "")
    return str(name or file.parent.name)


def _items(file: Path, task: str, benchmark: str) -> Iterator[ItemScore]:
    """The items of a task, from the samples file of the same run where there is one."""
    date = file.stem.removeprefix("results")
    samples = file.with_name(f"samples_{task}{date}.jsonl")
    if not samples.is_file():
        return
    values: dict[str, dict[str, float]] = {}
    rows: dict[str, Mapping[str, Any]] = {}
    for number, row in numbered_json_lines(samples):
        if "doc_id" not in row:
            raise UserError(f"{samples}:{number}: the row has no field 'doc_id'")
        name = f"{task}/{row['doc_id']}"
        rows.setdefault(name, row)
        for metric in row.get("metrics") or ():
            value = row.get(metric)
            if isinstance(value, (bool, int, float)):
                key = metric_name(f"{metric},{row.get('filter') or 'none'}")
                values.setdefault(name, {})[key] = float(value)
    for name, first in rows.items():
        yield ItemScore(
            benchmark=benchmark,
            item_id=name,
            values=values.get(name, {}),
            category=task if task != benchmark else "",
            prompt_hash=str(first.get("prompt_hash") or ""),
        )
