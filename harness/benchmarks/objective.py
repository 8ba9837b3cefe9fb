"""Benchmarks with an answer key, run through lm-eval: one class, a small description each.

In: items of the data source, a protocol's settings. Out: ``outputs.jsonl`` with every raw answer,
then item scores and scores under all of the protocol's metrics, unusable answers counted apart.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.benchmarks.base import EvalRequest, Outcome, Workload
from harness.benchmarks.judged import (
    data_marks,
    draw,
    flat,
    protocol_id,
    read_outputs,
    text_hash,
    write_outputs,
)
from harness.benchmarks.lm_eval_bridge import ItemRequest, TaskPlan, build_requests, score_outputs
from harness.errors import DataError, HarnessError
from leaderboards.records import ItemScore, Score

if TYPE_CHECKING:
    from harness.data.source import DataSource
    from harness.engines.base import Completion, Engine
    from judges import Judge

INVALID = "[invalid]"
"""What lm-eval's regular-expression filters give where they match nothing."""
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Item:
    """One item: where it stands in its lm-eval task, and its category for stratified samples."""

    id: str
    category: str
    task: str
    index: int
    characters: int


@dataclass(frozen=True)
class ItemSet:
    """All items of a benchmark in one data source, and the data of their tasks by split."""

    items: Sequence[Item]
    splits: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
    overrides: Mapping[str, Mapping[str, Any]]


Grade = Callable[[Sequence[Mapping[str, Any]], Sequence[str]], "list[dict[str, float] | None]"]
"""Own grading instead of the task's: documents and raw answers to metric values, ``None`` where
grading timed out."""


@dataclass(frozen=True)
class ObjectiveBenchmark:
    """A benchmark with an answer key. ``read`` lays out its items for a protocol's settings;
    ``files`` names the data files it reads."""

    name: str
    title: str
    read: Callable[[DataSource, Mapping[str, Any]], ItemSet]
    files: Callable[[Mapping[str, Any]], Sequence[tuple[str, ...]]]
    gated: bool = False
    grade: Grade | None = None
    needs_judge: bool = False

    def fingerprint(self, request: EvalRequest) -> str:
        """Hash of the files that this request reads."""
        found = [request.data.fingerprint(*names) for names in self.files(_settings(request))]
        return text_hash(" ".join(found))

    def workload(self, request: EvalRequest) -> Workload:
        """Items and tokens; shots are counted with the items' mean length."""
        chosen, _, _ = self._items(request)
        settings = _settings(request)
        characters = sum(item.characters for item in chosen)
        shots = int(settings.get("num_fewshot") or 0)
        new = 0 if settings.get("max_new_tokens") is None else int(settings["max_new_tokens"])
        return Workload(
            items=len(chosen),
            prompt_tokens=(1 + shots) * characters // _CHARACTERS_A_TOKEN,
            new_tokens=new * len(chosen),
        )

    def generate(
        self,
        request: EvalRequest,
        engine: Engine,
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Ask the model about every drawn item, all tasks in one call of the engine."""
        chosen, _, items = self._items(request)
        settings = _settings(request)
        asked: list[tuple[Item, ItemRequest, int]] = []
        for plan in _plans(chosen, items, settings):
            asked += self._requests(plan, chosen, engine, settings)
        rows = _ask(asked, engine, settings, progress)
        hidden = self.gated and request.data.kind != "sample"
        write_outputs(folder, [_hide(row) if hidden else row for row in rows])

    def score(self, request: EvalRequest, folder: Path, judge: Judge | None = None) -> Outcome:
        """Score the saved answers with the task's own filters and metrics."""
        chosen, available, items = self._items(request)
        rows = {
            row["item_id"]: _unhide(row)
            for row in read_outputs(folder, [item.id for item in chosen])
        }
        settings = _settings(request)
        scored: list[ItemScore] = []
        for plan in _plans(chosen, items, settings):
            scored += self._score_task(plan, chosen, rows, settings)
        order = {item.id: position for position, item in enumerate(chosen)}
        scored.sort(key=lambda item: order[item.item_id])
        header = _header(request, settings, len(chosen), available, rows, self.fingerprint(request))
        return Outcome(items=scored, scores=_scores(self.name, scored, settings, header))

    def _items(self, request: EvalRequest) -> tuple[list[Item], int, ItemSet]:
        items = self.read(request.data, _settings(request))
        if not items.items:
            raise DataError(f"{self.name}: no items in {request.data.root}")
        chosen = draw(items.items, lambda item: item.category, request.limit, request.seed)
        return chosen, len(items.items), items

    def _requests(
        self, plan: TaskPlan, chosen: Sequence[Item], engine: Engine, settings: Mapping[str, Any]
    ) -> list[tuple[Item, ItemRequest, int]]:
        """Requests of one task; where the context is too short, an item gets fewer shots."""
        by_index = {item.index: item for item in chosen if item.task == plan.task}
        shots = int(settings.get("num_fewshot") or 0)
        room = engine.max_length - int(settings.get("max_new_tokens") or 8)
        style = {"chat": bool(settings["chat_template"]), "multiturn": bool(settings["multiturn"])}
        found: list[tuple[Item, ItemRequest, int]] = []
        waiting = build_requests(plan, engine, **style)
        while waiting:
            fits = [r for r in waiting if shots == 0 or engine.count_tokens(r.prompt) <= room]
            found += [(by_index[r.index], r, shots) for r in fits]
            left = tuple(r.index for r in waiting if r not in fits)
            if not left:
                break
            shots -= 1
            plan = replace(
                plan, indices=left, overrides={**plan.overrides, "num_fewshot": shots}
            )
            waiting = build_requests(plan, engine, **style)
        return sorted(found, key=lambda entry: entry[1].index)

    def _score_task(
        self,
        plan: TaskPlan,
        chosen: Sequence[Item],
        rows: Mapping[str, Mapping[str, Any]],
        settings: Mapping[str, Any],
    ) -> list[ItemScore]:
        members = sorted((i for i in chosen if i.task == plan.task), key=lambda i: i.index)
        if self.grade is not None:
            documents = [plan.splits[settings["split"]][item.index] for item in members]
            graded = self.grade(documents, [str(rows[item.id]["output"]) for item in members])
            return [
                _graded_item(self.name, item, rows[item.id], values, settings)
                for item, values in zip(members, graded, strict=True)
            ]
        outputs: dict[int, Any] = {}
        for item in members:
            row = rows[item.id]
            pairs = row.get("logprobs")
            outputs[item.index] = [tuple(p) for p in pairs] if pairs else str(row["output"])
        results = {r.index: r for r in score_outputs(plan, outputs)}
        return [
            _task_item(self.name, item, rows[item.id], results[item.index], settings)
            for item in members
        ]


def _settings(request: EvalRequest) -> dict[str, Any]:
    return {**request.protocol.settings, **request.overrides}


def _plans(
    chosen: Sequence[Item], items: ItemSet, settings: Mapping[str, Any]
) -> list[TaskPlan]:
    """One plan a task, in the tasks' order, with the protocol's changes to its configuration."""
    plans = []
    for task in dict.fromkeys(item.task for item in chosen):
        overrides = dict(items.overrides.get(task, {}))
        if settings.get("num_fewshot") is not None:
            overrides["num_fewshot"] = settings["num_fewshot"]
        indices = tuple(sorted(item.index for item in chosen if item.task == task))
        plans.append(TaskPlan(task, items.splits[task], indices, overrides))
    return plans


def _ask(
    asked: Sequence[tuple[Item, ItemRequest, int]],
    engine: Engine,
    settings: Mapping[str, Any],
    progress: Callable[[int, int], None],
) -> list[dict[str, Any]]:
    if asked and asked[0][1].continuations:
        return _ask_choices(asked, engine)
    done = 0

    def count(index: int, completion: Completion) -> None:
        nonlocal done
        done += 1
        progress(done, len(asked))

    until = settings.get("until")
    stop = tuple(asked[0][1].until if until is None else until) if asked else ()
    completions = engine.chat(
        [request.prompt for _, request, _ in asked],
        max_new_tokens=int(settings["max_new_tokens"]),
        temperature=float(settings.get("temperature", 0.0)),
        stop=stop,
        on_done=count,
    )
    return [
        {
            **_identity(item, request, shots),
            "output": completion.text,
            "truncated": completion.truncated,
            "completion_tokens": completion.completion_tokens,
        }
        for (item, request, shots), completion in zip(asked, completions, strict=True)
    ]


def _ask_choices(
    asked: Sequence[tuple[Item, ItemRequest, int]], engine: Engine
) -> list[dict[str, Any]]:
    pairs = [(r.prompt, choice) for _, r, _ in asked for choice in r.continuations]
    results = iter(engine.logprobs([p for p, _ in pairs], [c for _, c in pairs]))
    rows = []
    for item, request, shots in asked:
        found = [next(results) for _ in request.continuations]
        best = max(range(len(found)), key=lambda i: found[i].total)
        rows.append(
            {
                **_identity(item, request, shots),
                "output": request.continuations[best].strip(),
                "truncated": False,
                "logprobs": [[f.total, f.greedy] for f in found],
            }
        )
    return rows


def _identity(item: Item, request: ItemRequest, shots: int) -> dict[str, Any]:
    return {
        "item_id": item.id,
        "category": item.category,
        "task": item.task,
        "index": item.index,
        "shots": shots,
        "prompt_hash": text_hash(request.prompt),
        "prompt": request.prompt,
    }


def _hide(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a gated set: no prompt, the raw answer sealed (it may quote the question)."""
    from harness.engines.resumable import seal

    open_fields = {k: v for k, v in row.items() if k not in ("prompt", "output")}
    return {**open_fields, "output": seal(str(row["output"]), row["prompt_hash"]), "sealed": True}


def _unhide(row: Mapping[str, Any]) -> Mapping[str, Any]:
    from harness.engines.resumable import unseal

    if not row.get("sealed"):
        return row
    return {**row, "output": unseal(row["output"], row["prompt_hash"])}


def _task_item(
    benchmark: str, item: Item, row: Mapping[str, Any], result: Any, settings: Mapping[str, Any]
) -> ItemScore:
    metrics: Mapping[str, str] = settings["metrics"]
    headline = metrics[settings["headline"]]
    extracted = result.extracted.get(headline.split(",", 1)[1], "")
    values = {name: result.values[key] for name, key in metrics.items()}
    return ItemScore(
        benchmark=benchmark,
        item_id=item.id,
        category=item.category,
        values=values,
        truncated=bool(row.get("truncated")),
        unparsed=extracted == INVALID,
        prompt_hash=str(row.get("prompt_hash", "")),
        extracted=None if row.get("sealed") else extracted or str(row["output"])[:40],
    )


def _graded_item(
    benchmark: str,
    item: Item,
    row: Mapping[str, Any],
    values: Mapping[str, float] | None,
    settings: Mapping[str, Any],
) -> ItemScore:
    metrics: Mapping[str, str] = settings["metrics"]
    found = {name: 0.0 if values is None else values[key] for name, key in metrics.items()}
    return ItemScore(
        benchmark=benchmark,
        item_id=item.id,
        category=item.category,
        values=found,
        truncated=bool(row.get("truncated")),
        unparsed=values is not None and not values.get("parsed", 1.0),
        error="grading timed out" if values is None else "",
        prompt_hash=str(row.get("prompt_hash", "")),
    )


@dataclass(frozen=True)
class Header:
    """What all scores of one evaluation share."""

    protocol: str
    settings: Mapping[str, str]
    data: str
    marks: tuple[str, ...]
    n_expected: int


def _header(
    request: EvalRequest,
    settings: Mapping[str, Any],
    drawn: int,
    available: int,
    rows: Mapping[str, Mapping[str, Any]],
    fingerprint: str,
) -> Header:
    hashes = sorted(str(row.get("prompt_hash", "")) for row in rows.values())
    fewer = sum(int(r.get("shots", 0)) < int(settings.get("num_fewshot") or 0) for r in rows.values())
    shown = {**settings, "data": f"{request.data.label}:{fingerprint}"}
    return Header(
        protocol=protocol_id(request, shown),
        settings={
            **flat(shown),
            "prompts": text_hash("".join(hashes)),
            "fewer_shots": str(fewer),
        },
        data=request.data.label,
        marks=(*request.protocol.marks, *data_marks(request, drawn, available)),
        n_expected=drawn,
    )


def _scores(
    benchmark: str, items: Sequence[ItemScore], settings: Mapping[str, Any], header: Header
) -> list[Score]:
    """A score for each metric over all items (micro average), and the headline by category."""
    headline = settings["headline"]
    scores = [
        _score(benchmark, metric, items, header, header.n_expected, headline=metric == headline)
        for metric in settings["metrics"]
    ]
    for category in dict.fromkeys(item.category for item in items):
        inside = [item for item in items if item.category == category]
        scores.append(
            _score(benchmark, headline, inside, header, len(inside), category=category)
        )
    return scores


def _score(
    benchmark: str,
    metric: str,
    items: Sequence[ItemScore],
    header: Header,
    n_expected: int,
    **more: Any,
) -> Score:
    values = [item.values[metric] for item in items if metric in item.values]
    if not values:
        raise HarnessError(f"{benchmark}: no item has a value of {metric}")
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Score(
        benchmark=benchmark,
        metric=metric,
        value=100 * math.fsum(values) / len(values),
        stderr=None if error is None else 100 * error,
        n=len(values),
        n_expected=n_expected,
        n_truncated=sum(item.truncated for item in items),
        n_unparsed=sum(item.unparsed for item in items),
        n_error=sum(bool(item.error) for item in items),
        n_missing=n_expected - len(items),
        protocol=header.protocol,
        settings=dict(header.settings),
        data=header.data,
        marks=header.marks,
        **more,
    )

