"""lm-eval as a library: the one file that knows its interfaces (0.4.13).

Two pieces: our engine as lm-eval's ``LM``, and lm-eval's own tasks with their data taken from rows that
we hand over (``task_scorer`` runs their filters and metrics). The tasks'
YAML files are read one folder at a time (indexing all of lm-eval's takes seconds).
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from groundwork.sampling_params import SamplingParams
from harness.engines.errors import EngineError
from harness.errors import ProtocolError

if TYPE_CHECKING:
    from harness.engines.base import Completion, ContinuationLogprob, Engine, Message

FEWSHOT_SEED = 1234
"""The seed that lm-eval's command gives to the few-shot sampler by default."""
INVALID = "[invalid]"
"""What lm-eval's filters give where they find nothing."""
PROMPT_KEYS = (
    *("doc_to_text", "doc_to_target", "doc_to_choice", "description", "target_delimiter"),
    *("fewshot_delimiter", "fewshot_config", "num_fewshot", "gen_prefix", "output_type"),
)
Row = Mapping[str, Any]


class EngineLM(LM):
    """An engine of ours as the ``LM`` that lm-eval drives (also ``simple_evaluate(model=...)``).

    ``on_done`` is called once an answered request.
    """

    def __init__(self, engine: Engine, on_done: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.engine = engine
        self.on_done = on_done

    @property
    def tokenizer_name(self) -> str:
        """Names the chat template in lm-eval's request cache."""
        return self.engine.model_hash

    def apply_chat_template(
        self, chat_history: list[Message], add_generation_prompt: bool = True
    ) -> str:
        """The rendered chat; an answer prefix (the last assistant turn) is left open.

        A template that refuses a system turn gets the chat without it, as in lm-eval's ``HFLM``.
        """
        rest = ""
        if not add_generation_prompt and chat_history and chat_history[-1]["role"] == "assistant":
            chat_history, rest = chat_history[:-1], chat_history[-1]["content"]
        try:
            return self.engine.render(chat_history, add_generation_prompt=True) + rest
        except EngineError:
            plain = [turn for turn in chat_history if turn["role"] != "system"]
            if len(plain) == len(chat_history):
                raise
            return self.engine.render(plain, add_generation_prompt=True) + rest

    def complete(self, requests: Sequence[Instance]) -> list[Completion]:
        """The full completions of generation requests, in order; one batch a decoding setting."""
        found: dict[int, Completion] = {}
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(number)
        for key, numbers in groups.items():
            settings = json.loads(key)
            sampled = bool(settings.get("do_sample"))
            completions = self.engine.chat(
                [requests[n].args[0] for n in numbers],
                SamplingParams(
                    int(settings.get("max_gen_toks", 256)),
                    temperature=float(settings.get("temperature", 1.0)) if sampled else 0.0,
                    top_p=float(settings.get("top_p", 1.0)),
                    stop=tuple(_listed(settings.get("until"))),
                ),
                seeds=numbers,
                on_done=lambda index, completion: self.on_done(),
            )
            found.update(zip(numbers, completions, strict=True))
        return [found[number] for number in range(len(requests))]

    def score(self, requests: Sequence[Instance]) -> list[ContinuationLogprob]:
        """Log-probabilities of continuation requests, in order."""
        found = self.engine.logprobs(
            [request.args[0] for request in requests], [request.args[1] for request in requests]
        )
        for _ in requests:
            self.on_done()
        return list(found)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """lm-eval's generation call."""
        return [completion.text for completion in self.complete(requests)]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """lm-eval's scoring call."""
        return [(found.total, found.greedy) for found in self.score(requests)]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Log-probability of whole texts (each must fit the model's context)."""
        texts = [request.args[0] for request in requests]
        return [found.total for found in self.engine.logprobs([""] * len(texts), texts)]


@dataclass(frozen=True)
class TaskSpec:
    """Which lm-eval task, and what a protocol changes in it.

    ``folder`` is the task's folder below ``lm_eval/tasks``; ``stop`` ``None`` keeps the task's own
    stop strings; ``changes`` replaces keys of its YAML (prompt texts, metrics, ...).
    """

    folder: str
    name: str
    shots: int | None = None
    max_new_tokens: int | None = None
    stop: Sequence[str] | None = None
    chat: bool = True
    multiturn: bool = True
    system: str | None = None
    changes: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Prompt:
    """The requests of one item: one to generate, or one a choice to score.

    ``shots`` examples were shown; ``error`` says why the item can't be asked at all.
    """

    requests: tuple[Instance, ...]
    shots: int
    error: str = ""

    @property
    def text(self) -> str:
        """The prompt as the model reads it."""
        return str(self.requests[0].args[0])


def task_config(spec: TaskSpec) -> dict[str, Any]:
    """The task's own YAML with the protocol's changes.

    Raises:
        ProtocolError: lm-eval has no such task.
    """
    entry = _task_index(spec.folder).get(spec.name)
    if entry is None or entry.yaml_path is None:
        raise ProtocolError(f"lm-eval has no task {spec.name!r} in its folder {spec.folder}")
    config = dict(load_yaml(entry.yaml_path, resolve_func=True))
    for key in ("tag", "group", "task_alias", "include"):
        config.pop(key, None)
    config.update(spec.changes or {})
    if spec.shots is not None:
        config["num_fewshot"] = spec.shots
    if config.get("output_type") == "generate_until":
        config["generation_kwargs"] = _generation(config.get("generation_kwargs") or {}, spec)
    return config


@cache
def _task_index(folder: str) -> Mapping[str, Any]:
    """lm-eval's index of one folder (a tenth of a second, and MMLU-Pro asks once a subject)."""
    path = str(tasks_root() / folder)
    found: Mapping[str, Any] = TaskManager(include_path=path, include_defaults=False).task_index
    return found


def load_task(spec: TaskSpec, docs: Sequence[Row], shots: Sequence[Row]) -> ConfigurableTask:
    """lm-eval's task over our rows: ``docs`` to be asked, ``shots`` to draw examples from."""
    from datasets import Dataset

    config = task_config(spec)
    splits = {}
    for key in ("fewshot_split", "training_split", "validation_split"):
        if config.get(key):
            splits[config[key]] = Dataset.from_list([dict(row) for row in shots or docs])
    asked = config.get("test_split") or config.get("validation_split")
    splits[asked] = Dataset.from_list([dict(row) for row in docs])
    config["custom_dataset"] = lambda **_: splits
    with quiet():
        task = ConfigurableTask(config=config)
    task.set_fewshot_seed(FEWSHOT_SEED)
    return task


def prompts(task: ConfigurableTask, lm: EngineLM, spec: TaskSpec) -> list[Prompt]:
    """The task's requests in document order, built by lm-eval.

    Examples come from one stream over the documents, as under ``lm_eval --samples``. A prompt that
    leaves no room for the answer is built again with as many of its own examples as fit.
    """
    drawn = _record_shots(task)
    with quiet():
        task.build_all_requests(
            system_instruction=spec.system,
            apply_chat_template=spec.chat,
            fewshot_as_multiturn=spec.multiturn,
            chat_template=lm.apply_chat_template if spec.chat else None,
            tokenizer_name=lm.tokenizer_name,
        )
    grouped: dict[int, list[Instance]] = {}
    for instance in task.instances:
        grouped.setdefault(int(instance.doc_id or 0), []).append(instance)
    wanted = int(task.config.num_fewshot or 0)
    found = []
    for number, instances in grouped.items():
        examples = drawn[number] if wanted else []
        found.append(_fitted(task, lm, spec, tuple(instances), examples))
    return found


def _fitted(
    task: ConfigurableTask,
    lm: EngineLM,
    spec: TaskSpec,
    requests: tuple[Instance, ...],
    examples: Sequence[Row],
) -> Prompt:
    shots = len(examples)
    while not _fits(lm.engine, requests) and shots:
        shots -= 1
        requests = _rebuilt(task, lm, spec, requests[0], examples[:shots])
    error = ""
    if not shots and not _fits(lm.engine, requests, least=True):
        length = lm.engine.count_tokens(requests[0].args[0])
        error = f"the prompt ({length} tokens) does not fit the model ({lm.engine.max_length})"
    return Prompt(requests, shots, error)


def _fits(engine: Engine, requests: Sequence[Instance], least: bool = False) -> bool:
    """Whether the prompt leaves room for the whole answer (``least``: for one token of it)."""
    for request in requests:
        text, rest = request.args[0], request.args[1]
        if isinstance(rest, str):
            text, new = text + rest, 0
        else:
            new = 1 if least else int(rest.get("max_gen_toks", 256))
        # A token is at least one byte: most prompts need no tokeniser to see that they fit.
        short = len(text.encode("utf-8")) + new <= engine.max_length
        if not short and engine.count_tokens(text) + new > engine.max_length:
            return False
    return True


def _rebuilt(
    task: ConfigurableTask, lm: EngineLM, spec: TaskSpec, old: Instance, examples: Sequence[Row]
) -> tuple[Instance, ...]:
    """The requests of one document with just these examples."""
    sample = task.sampler.sample
    task.sampler.sample = lambda n, **_: list(examples)  # type: ignore[method-assign]
    template = lm.apply_chat_template if spec.chat else None
    try:
        context = task.fewshot_context(
            old.doc,
            num_fewshot=len(examples),
            system_instruction=spec.system,
            apply_chat_template=spec.chat,
            fewshot_as_multiturn=spec.multiturn,
            chat_template=template,
            gen_prefix=task.doc_to_prefix(old.doc),
        )
    finally:
        task.sampler.sample = sample  # type: ignore[method-assign]
    made = task.construct_requests(
        doc=old.doc,
        ctx=context,
        metadata=old.metadata,
        apply_chat_template=spec.chat,
        chat_template=template,
    )
    return tuple(made) if isinstance(made, list) else (made,)


def _record_shots(task: ConfigurableTask) -> list[Sequence[Row]]:
    """A list that fills with the examples drawn for each document, in order."""
    drawn: list[Sequence[Row]] = []
    if not hasattr(task, "sampler"):
        return drawn
    original = task.sampler.sample

    def sample(n: int, **options: Any) -> Sequence[Row]:
        drawn.append(original(n, **options))
        return drawn[-1]

    task.sampler.sample = sample  # type: ignore[method-assign, assignment]
    return drawn


def prompt_fingerprint(spec: TaskSpec) -> str:
    """Hash of everything in the task that shapes a prompt, for protocol ids."""
    import hashlib
    import inspect

    config = task_config(spec)

    def shown(value: Any) -> Any:
        function = getattr(value, "func", value)
        if callable(function):
            return [inspect.getsource(function), repr(getattr(value, "keywords", ""))]
        return {k: shown(v) for k, v in value.items()} if isinstance(value, dict) else value

    kept = {key: shown(config.get(key)) for key in PROMPT_KEYS}
    kept["how"] = [spec.chat, spec.multiturn, spec.system]
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def tasks_root() -> Path:
    """The folder of lm-eval's own tasks."""
    import lm_eval.tasks

    return Path(lm_eval.tasks.__file__).parent


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """lm-eval's progress bars and warnings off."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _generation(own: Mapping[str, Any], spec: TaskSpec) -> dict[str, Any]:
    settings = {key: value for key, value in own.items() if not key.startswith("max_")}
    settings["max_gen_toks"] = spec.max_new_tokens or own.get("max_gen_toks", 256)
    if spec.stop is not None:
        settings["until"] = list(spec.stop)
    return settings


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
