"""The shell that all benchmarks with an answer key share: read, ask, save, grade, score.

A benchmark folder supplies three functions. ``read`` turns the data into items, ``examples`` gives
the pool of few-shot examples, ``grade`` judges saved answers from their targets alone. Prompts go
through lm-eval's request building, all of a benchmark in one batch of the engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.errors import did_you_mean
from groundwork.reasoning import opens_reasoning
from harness.benchmarks.aggregate import (
    Answer,
    Grade,
    Header,
    data_marks,
    flat,
    outcome,
    protocol_id,
)
from harness.benchmarks.answers_file import final_answer, read_outputs, text_hash, write_outputs
from harness.benchmarks.base import EvalRequest, Outcome, QuestionReader, Workload
from harness.benchmarks.item_subset import draw
from harness.benchmarks.saved_answers import read_text
from harness.data.sources import DataSource
from harness.errors import DataError, ProtocolError
from leaderboards.benchmark_info import BenchmarkInfo

if TYPE_CHECKING:
    from harness.benchmarks.lm_eval_bridge import EngineLM, Prompt, TaskSpec
    from harness.engines.base import Engine
    from judges import Judge

Settings = Mapping[str, Any]
CHARACTERS_A_TOKEN = 4
OPTIONAL = {
    *("shots", "max_new_tokens", "stop", "chat", "multiturn", "system", "prompt", "set"),
    *("permutations", "order_seed", "grading_seconds", "reasoning_markers"),
}
"""Settings that a protocol may leave out, so that an override of them is no typing error."""
NUMBERS = {"shots", "max_new_tokens", "permutations", "order_seed", "grading_seconds"}
"""Settings that are numbers, from 0."""


@dataclass(frozen=True)
class Item:
    """One question: its row as the lm-eval task wants it, and what scoring needs.

    ``task`` is the lm-eval task (a subject's, where there are several); ``stratum`` is what a limit
    keeps the shares of; items of one ``cluster`` share a question.
    """

    item_id: str
    row: Mapping[str, Any]
    target: Mapping[str, Any]
    category: str = ""
    task: str = ""
    stratum: str = ""
    cluster: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectiveBenchmark:
    """One benchmark with an answer key (see ``base.Benchmark``).

    ``folder`` holds its tasks below ``lm_eval/tasks``; ``changes`` replaces keys of every task's YAML
    (a protocol's ``prompt`` comes on top). For ``rescore``, ``own_fields`` are the fields of the
    benchmark's own rows, and ``target_of(row, where)`` reads the key off a row that holds them.
    """

    name: str
    info: BenchmarkInfo
    folder: str
    read: Callable[[DataSource, Settings], Sequence[Item]]
    examples: Callable[[DataSource, Settings], Mapping[str, Sequence[Mapping[str, Any]]]]
    grade: Callable[[Sequence[Answer], Settings], Sequence[Grade]]
    files: Callable[[DataSource, Settings], Sequence[str]]
    questions: QuestionReader
    target_of: Callable[[Mapping[str, Any], str], Mapping[str, Any]]
    own_fields: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    needs_judge: bool = False
    own_processes: bool = False
    """Whether ``grade`` bounds itself, in processes that it kills."""

    def fingerprint(self, request: EvalRequest) -> str:
        """Hash of the items drawn and of the files read."""
        drawn, _ = self.items(request)
        ids = ",".join(item.item_id for item in drawn)
        return text_hash(self.data_revision(request) + ids)[:16]

    def data_revision(self, request: EvalRequest) -> str:
        """Fingerprints of the files that the items come from."""
        names = self.files(request.data, settings_of(request))
        return ",".join(request.data.fingerprint(name) for name in names)

    def items(self, request: EvalRequest) -> tuple[list[Item], Sequence[Item]]:
        """The items drawn under the request's limit, and all of them.

        Raises:
            DataError: no data, or a row that can't be used.
        """
        everything = self.read(request.data, settings_of(request))
        if not everything:
            raise DataError(f"{request.data.root}: no item of {self.info.title}")
        ids = Counter(item.item_id for item in everything)
        twice = [name for name, times in ids.most_common(1) if times > 1]
        if twice:
            raise DataError(f"{request.data.root}: {twice[0]} comes twice")
        clusters = {item.cluster or item.item_id: item for item in everything}
        kept = draw(list(clusters.values()), lambda i: i.stratum, request.limit, request.seed)
        names = {item.cluster or item.item_id for item in kept}
        chosen = [item for item in everything if (item.cluster or item.item_id) in names]
        return chosen, everything

    def workload(self, request: EvalRequest) -> Workload:
        """Items and tokens; prompt tokens are an estimate from characters."""
        settings = settings_of(request)
        drawn, _ = self.items(request)
        pools = self.examples(request.data, settings)
        shots = int(settings.get("shots") or 0)
        characters = 0
        for item in drawn:
            pool = pools.get(item.task) or pools.get("") or ()
            characters += _characters(item.row)
            if pool:
                characters += shots * sum(map(_characters, pool)) // len(pool)
        new = int(settings.get("max_new_tokens") or 0)
        return Workload(len(drawn), characters // CHARACTERS_A_TOKEN, new * len(drawn))

    def generate(
        self,
        request: EvalRequest,
        engine: Engine,
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Write ``outputs.jsonl``: one line per item, in item order."""
        from harness.benchmarks.lm_eval_bridge import EngineLM

        drawn, _ = self.items(request)
        finished = count(1)
        total = len(drawn)
        lm = EngineLM(engine, lambda: progress(min(next(finished), total), total))
        asked = self.prompts(request, drawn, lm)
        rows = answered(lm, drawn, asked, int(settings_of(request).get("shots") or 0))
        write_outputs(folder, rows, sealed=self.info.gated and request.data.kind != "sample")

    def prompts(self, request: EvalRequest, items: Sequence[Item], lm: EngineLM) -> list[Prompt]:
        """The prompt of each item, in item order, built by the items' lm-eval tasks."""
        from harness.benchmarks.lm_eval_bridge import load_task, prompts

        settings = settings_of(request)
        pools = self.examples(request.data, settings)
        found: dict[str, Prompt] = {}
        for name in dict.fromkeys(item.task for item in items):
            members = [item for item in items if item.task == name]
            pool = pools.get(name) or pools.get("") or ()
            spec = self.task_spec(settings, name, len(pool) if pools else None)
            task = load_task(spec, [item.row for item in members], pool)
            made = prompts(task, lm, spec)
            found.update(zip([item.item_id for item in members], made, strict=True))
        return [found[item.item_id] for item in items]

    def task_spec(self, settings: Settings, task: str, pool: int | None = None) -> TaskSpec:
        """The lm-eval task and what the protocol's settings change in it; no more examples than the
        ``pool`` has."""
        from harness.benchmarks.lm_eval_bridge import TaskSpec

        shots = settings.get("shots")
        return TaskSpec(
            folder=self.folder,
            name=task,
            shots=shots if shots is None or pool is None else min(int(shots), pool),
            max_new_tokens=settings.get("max_new_tokens"),
            stop=settings.get("stop"),
            chat=bool(settings.get("chat", True)),
            multiturn=bool(settings.get("multiturn", True)),
            system=settings.get("system"),
            changes={**self.changes, **(settings.get("prompt") or {})},
        )

    def score(self, request: EvalRequest, folder: Path, judge: Judge | None = None) -> Outcome:
        """Grade the saved answers and score them."""
        drawn, everything = self.items(request)
        rows = read_outputs(folder, [item.item_id for item in drawn])
        marks = data_marks(request, len(drawn), len(everything))
        header = self.header(request, min(item.task for item in everything), marks)
        return self.score_rows(rows, settings_of(request), header)

    def header(self, request: EvalRequest, task: str, marks: tuple[str, ...]) -> Header:
        """Protocol id and settings in force: prompt hash and data revision are part of the id."""
        from harness.benchmarks.lm_eval_bridge import prompt_fingerprint

        settings = {
            **settings_of(request),
            "prompt_hash": prompt_fingerprint(self.task_spec(settings_of(request), task)),
            "data_revision": self.data_revision(request),
            "decoding": "greedy",
        }
        return Header(
            benchmark=self.name,
            protocol=protocol_id(request.protocol, settings),
            headline=str(settings["metric"]),
            settings=flat(settings),
            data=request.data.label,
            marks=marks,
        )

    def score_rows(
        self, rows: Sequence[Mapping[str, Any]], settings: Settings, header: Header
    ) -> Outcome:
        """Grades of saved lines; an item that was never asked has no value and stays counted."""
        rows = [_with_state(row) for row in rows]
        asked = [k for k, row in enumerate(rows) if not row.get("error")]
        answers = [
            Answer(
                target=rows[k].get("target") or {},
                text=final_answer(rows[k]).answer,
                logprobs=[tuple(pair) for pair in rows[k].get("logprobs") or ()],
                task=str(rows[k].get("task") or settings["task"]),
            )
            for k in asked
        ]
        grades = [Grade({}, error=str(row.get("error") or "")) for row in rows]
        for k, grade in zip(asked, self._graded(answers, settings), strict=True):
            grades[k] = grade
        header = replace(header, marks=(*header.marks, *fewer_examples(rows)))
        return outcome(rows, grades, header)

    def _graded(self, answers: Sequence[Answer], settings: Settings) -> Sequence[Grade]:
        """The grade of each answer; written ones in a process that can be killed."""
        from harness.benchmarks.bounded_grading import grade_bounded

        written = [answer for answer in answers if not answer.logprobs]
        if self.own_processes or not written:
            return self.grade(answers, settings)
        scored = [answer for answer in answers if answer.logprobs]
        by_choice = iter(self.grade(scored, settings) if scored else ())
        by_text = iter(grade_bounded(lambda some: self.grade(some, settings), written))
        return [next(by_choice if answer.logprobs else by_text) for answer in answers]


def _with_state(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The line, with an error where its answer is neither text nor log-probabilities."""
    if row.get("error") or row.get("logprobs") or isinstance(row.get("output"), str):
        return row
    return {**row, "error": read_text(row.get("output")).error}


def settings_of(request: EvalRequest) -> dict[str, Any]:
    """The protocol's settings with the request's overrides.

    Raises:
        ProtocolError: an override that no protocol of this kind has, or a text for a number.
    """
    own = request.protocol.settings
    for key, value in request.overrides.items():
        if key not in own and key not in OPTIONAL:
            near = did_you_mean(key, sorted({*own, *OPTIONAL}), cutoff=0.0)
            raise ProtocolError(f"{request.protocol.name} has no setting {key!r} ({near})")
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
        if key in NUMBERS and not number:
            raise ProtocolError(f"{request.protocol.name}: {key} = {value!r} is no number from 0")
    return {**own, **request.overrides}


def answered(
    lm: EngineLM, items: Sequence[Item], asked: Sequence[Prompt], wanted: int = 0
) -> list[dict[str, Any]]:
    """Ask the engine, one batch a kind of request, and lay out the lines of ``outputs.jsonl``."""
    usable = [k for k, prompt in enumerate(asked) if not prompt.error]
    writes = [k for k in usable if asked[k].requests[0].request_type == "generate_until"]
    scores = [k for k in usable if asked[k].requests[0].request_type != "generate_until"]
    rows = [_row(item, prompt, wanted) for item, prompt in zip(items, asked, strict=True)]
    completions = lm.complete([asked[k].requests[0] for k in writes]) if writes else []
    for k, completion in zip(writes, completions, strict=True):
        rows[k].update(
            output=completion.text,
            truncated=completion.truncated,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
        )
    flattened = [request for k in scores for request in asked[k].requests]
    found = iter(lm.score(flattened) if flattened else [])
    for k in scores:
        own = islice(found, len(asked[k].requests))
        rows[k]["logprobs"] = [[one.total, one.greedy] for one in own]
    return rows


def fewer_examples(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The mark of a score some of whose prompts had no room for all examples, with their number."""
    short = sum(row.get("shots", 0) < row.get("shots_wanted", 0) for row in rows)
    text = f"{short} of {len(rows)} prompts with fewer examples: the model's context is too short"
    return (text,) if short else ()


def asked_text(row: Mapping[str, Any]) -> str:
    """The question of an item in words, its options below it; for reports, never for scoring."""
    names = ("question", "Question", "problem", "prompt")
    text = str(next((row[name] for name in names if name in row), ""))
    options = row.get("options") or row.get("choices") or ()
    lines = [f"({chr(65 + k)}) {option}" for k, option in enumerate(options)]
    return "\n".join([text, *lines])


def _row(item: Item, prompt: Prompt, wanted: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "item_id": item.item_id,
        "category": item.category,
        "task": item.task,
        "question": asked_text(item.row),
        "prompt_hash": text_hash(prompt.text),
        "shots": prompt.shots,
        "target": dict(item.target),
        "output": "",
        "truncated": False,
    }
    if item.cluster:
        row["cluster"] = item.cluster
    if prompt.shots < wanted:
        row["shots_wanted"] = wanted
    if opens_reasoning(prompt.text):
        row["reasoning_opened"] = True
    if prompt.error:
        row["error"] = prompt.error
    return {**row, **item.extra}


def _characters(row: Mapping[str, Any]) -> int:
    return sum(len(str(value)) for value in row.values())
