"""The one place that calls lm-eval: its tasks, prompts, filters and metrics as a library.

lm-eval builds the prompts and scores the answers; our engine writes them, all tasks of a benchmark
in one call. Task data come from the data source instead of the hub (``custom_dataset``), the item
sample through lm-eval's own ``samples`` mechanism, so that prompts and verdicts equal those of the
``lm_eval`` command for the same items.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from harness.engines.base import Engine

FEWSHOT_SEED = 1234
"""lm-eval's own default seed for drawing few-shot examples."""


@dataclass(frozen=True)
class TaskPlan:
    """One lm-eval task to run: its name, its data by split, which rows, and configuration changes.

    ``indices`` are positions in the task's own test documents.
    """

    task: str
    splits: Mapping[str, Sequence[Mapping[str, Any]]]
    indices: tuple[int, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemRequest:
    """What the model is asked for one item: a prompt, and continuations to score if any."""

    task: str
    index: int
    prompt: str
    continuations: tuple[str, ...] = ()
    until: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def _manager() -> Any:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from lm_eval.tasks import TaskManager

    return TaskManager()


def load_task(plan: TaskPlan) -> Any:
    """The lm-eval task with its data redirected; shots are drawn with lm-eval's default seed."""
    import datasets

    def rows(**_: Any) -> dict[str, Any]:
        return {
            split: datasets.Dataset.from_list([dict(row) for row in found])
            for split, found in plan.splits.items()
        }

    spec = {"task": plan.task, "custom_dataset": rows, **plan.overrides}
    quiet = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        (task,) = _manager().load([spec])["tasks"].values()
    finally:
        if quiet:
            datasets.enable_progress_bars()
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return task


def build_requests(
    plan: TaskPlan, engine: Engine | None, *, chat: bool, multiturn: bool
) -> list[ItemRequest]:
    """The prompts that lm-eval makes for the plan's items, in its order.

    ``engine`` applies the chat template (only place where that happens); ``chat`` False gives the
    plain text prompt.
    """
    task = load_task(plan)
    indices = sorted(plan.indices)
    if not indices:
        return []
    task.build_all_requests(
        samples=indices,
        apply_chat_template=chat,
        fewshot_as_multiturn=multiturn and chat,
        chat_template=_template(engine) if chat else None,
        tokenizer_name=engine.name if engine is not None else "",
    )
    found: dict[int, ItemRequest] = {}
    for instance in task.instances:
        index = indices[instance.doc_id]
        prompt, extra = instance.args[0], instance.args[1]
        if isinstance(extra, str):
            before = found.get(index)
            continuations = (*(before.continuations if before else ()), extra)
            found[index] = ItemRequest(plan.task, index, prompt, continuations)
        else:
            until = extra.get("until") or ()
            until = (until,) if isinstance(until, str) else tuple(until)
            found[index] = ItemRequest(plan.task, index, prompt, (), until)
    return [found[index] for index in indices]


def _template(engine: Engine | None) -> Callable[..., str]:
    if engine is None:
        raise ValueError("a chat template needs an engine")

    def render(messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        return engine.render(
            [dict(m) for m in messages], add_generation_prompt=add_generation_prompt
        )

    return render


@dataclass(frozen=True)
class ItemResult:
    """lm-eval's verdict of one item: metric values by ``metric,filter``, and what was extracted."""

    index: int
    values: dict[str, float]
    extracted: dict[str, str]


def score_outputs(
    plan: TaskPlan, outputs: Mapping[int, str] | Mapping[int, Sequence[tuple[float, bool]]]
) -> list[ItemResult]:
    """Filter and score saved answers with the task's own filters and metrics.

    ``outputs`` maps test-document positions to a raw answer, or to the (log-probability, greedy)
    pairs of a multiple-choice item in the order of its choices.
    """
    from lm_eval.api.instance import Instance

    task = load_task(plan)
    docs = task.eval_docs
    instances = []
    for position, index in enumerate(sorted(outputs)):
        found = outputs[index]
        replies: list[Any] = [found] if isinstance(found, str) else list(found)
        kind = "generate_until" if isinstance(found, str) else "loglikelihood"
        for idx, reply in enumerate(replies):
            instance = Instance(
                request_type=kind,
                doc=docs[index],
                arguments=("", {}),
                idx=idx,
                metadata=(plan.task, position, 1),
            )
            instance.resps = [reply]
            instances.append(instance)
    if not instances:
        return []
    task._instances = instances
    task.apply_filters()
    return _collect(task, instances, sorted(outputs))


def _collect(task: Any, instances: Sequence[Any], indices: Sequence[int]) -> list[ItemResult]:
    by_doc: dict[int, list[Any]] = {}
    for instance in instances:
        by_doc.setdefault(instance.doc_id, []).append(instance)
    results = []
    for position, index in enumerate(indices):
        values: dict[str, float] = {}
        extracted: dict[str, str] = {}
        group = sorted(by_doc[position], key=lambda instance: instance.idx)
        for name in group[0].filtered_resps:
            replies = [instance.filtered_resps[name] for instance in group]
            metrics = task.process_results(group[0].doc, replies)
            for metric, value in metrics.items():
                if isinstance(value, (bool, int, float)):
                    values[f"{metric},{name}"] = float(value)
            extracted[name] = replies[0] if isinstance(replies[0], str) else ""
        results.append(ItemResult(index, values, extracted))
    return results
