"""Options that several commands share, in groups, and how they become a configuration.

A group is a dataclass of options; a command that takes one as a parameter and is ``expanded`` gets
an option for each of its fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from harness.config import RunConfig

Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        "-p",
        help="Shipped preset or a YAML file (default: quickstart; of eval on a GPU: suite).",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override any key: --set loss.kind=dpo (repeatable)."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result, no progress.")]
RetryErrors = Annotated[
    bool,
    typer.Option("--retry-errors", help="Ask items of finished stages that failed again."),
]


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained."""

    iters: Annotated[
        int | None, typer.Option("--iters", "-n", help="Training iterations of each arm.")
    ] = None
    methods: Annotated[
        str | None, typer.Option("--methods", help="Arms, comma-separated: sso,pbaa,ultrafeedback.")
    ] = None
    model: Annotated[str | None, typer.Option("--model", "-m", help="Hub id or local folder.")] = (
        None
    )
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="How many seeds: --seed and those after it.")
    ] = None
    principles: Annotated[
        str | None,
        typer.Option("--principles", help="YAML file of features, principles and examples."),
    ] = None
    principles_from: Annotated[
        str | None,
        typer.Option("--principles-from", help="A run (or file) whose principles are taken."),
    ] = None

    def flags(self) -> dict[str, Any]:
        """The options given, as a nested configuration mapping (``seeds`` apart)."""
        return given(
            iterations=self.iters,
            methods=None if self.methods is None else split_names(self.methods),
            model=self.model,
            principles=given(file=self.principles),
            principles_from=self.principles_from,
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is evaluated, on what, and where it goes."""

    preset: Preset = None
    benchmarks: Annotated[
        str | None,
        typer.Option(
            "--benchmarks", "-b", help="Which, comma-separated; NAME/PROTOCOL picks the protocol."
        ),
    ] = None
    limit: Annotated[
        int | None, typer.Option("--limit", help="Items of each benchmark (seeded, stratified).")
    ] = None
    data: Annotated[str | None, typer.Option("--data", help="sample, hub, or a data folder.")] = (
        None
    )
    engine: Annotated[
        str | None, typer.Option("--engine", help="auto, hf, vllm or openai (text generation).")
    ] = None
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder (default runs/NAME).")
    ] = None
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of everything that is drawn.")
    ] = None
    set_: Set = None
    redo: Annotated[
        bool, typer.Option("--redo", help="Replace finished stages of other settings.")
    ] = False

    def flags(self) -> dict[str, Any]:
        """The options given, as a nested configuration mapping (``seed`` apart)."""
        return given(data=self.data, engine=given(kind=self.engine))

    def folder(self, config: RunConfig, prefix: str = "") -> Path:
        """The run folder: the one given, else one named after what differs from the preset."""
        from harness.config import load_config
        from harness.experiment import default_out

        return self.out or default_out(config, load_config(self.preset or "quickstart"), prefix)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where the stages work."""

    executor: Annotated[
        str | None,
        typer.Option(
            "--executor", help="local (this machine) or ray (the nodes of a Ray cluster)."
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", help="Stages side by side on this machine, which share its GPUs."
        ),
    ] = None

    def flags(self) -> dict[str, Any]:
        """The options given, as a nested configuration mapping."""
        return given(executor=given(kind=self.executor, workers=self.workers))


@dataclass(frozen=True, kw_only=True)
class Judging:
    """Who judges."""

    judge: Annotated[
        str | None,
        typer.Option("--judge", help="local, or a model of an OpenAI-compatible server."),
    ] = None
    judge_url: Annotated[
        str | None, typer.Option("--judge-url", help="Base URL of the judge's server.")
    ] = None
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", help="Most to spend on the judge, US dollars.")
    ] = None

    max_calls: Annotated[
        int | None, typer.Option("--max-calls", help="Most requests to the judge.")
    ] = None
    judge_prices: Annotated[
        str | None,
        typer.Option("--judge-prices", help="YAML file of prices per million tokens."),
    ] = None

    def flags(self) -> dict[str, Any]:
        """The options given, as a nested configuration mapping."""
        judge = given(
            name=self.judge,
            base_url=self.judge_url,
            max_cost=self.max_cost,
            max_calls=self.max_calls,
            prices=self.judge_prices,
        )
        return given(judge=judge)


def configured(
    evaluation: Evaluation, judging: Judging, training: Training | None = None, **settled: Any
) -> RunConfig:
    """The configuration of a command: preset, ``--set``, options, then what the command settles.

    Raises:
        ConfigError: listing every problem found, one per line.
    """
    from harness.config import ConfigError, load_config

    training = training or Training()
    flags = {**evaluation.flags(), **judging.flags(), **training.flags(), **settled}
    if evaluation.seed is not None or training.seeds is not None:
        first = evaluation.seed or 0
        many = 1 if training.seeds is None else training.seeds
        if many < 1:
            raise ConfigError(f"--seeds {many}: at least 1 (how many seeds, not which)")
        flags["seeds"] = list(range(first, first + many))
    config = load_config(evaluation.preset or "quickstart", evaluation.set_ or (), flags)
    return select_benchmarks(config, evaluation.benchmarks, evaluation.limit)


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each parameter that is a group of options replaced by the group's options."""
    signature = inspect.signature(command, eval_str=True)
    groups: Mapping[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        single = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        parameters += _options(groups[name]) if name in groups else single

    @wraps(command)
    def call(**options: Any) -> None:
        for name, group in groups.items():
            options[name] = group(
                **{field.name: options.pop(field.name) for field in fields(group)}
            )
        command(**options)

    setattr(call, "__signature__", inspect.Signature(parameters))  # noqa: B010
    call.__annotations__ = {}
    return call


def _options(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


def given(**values: Any) -> dict[str, Any]:
    """Only what was given: neither None nor an empty mapping."""
    return {key: value for key, value in values.items() if value is not None and value != {}}


def split_names(text: str) -> list[str]:
    """``a,b, c`` as names, each once, in order."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def select_benchmarks(config: RunConfig, benchmarks: str | None, limit: int | None) -> RunConfig:
    """The configuration with only the named benchmarks (all if not given) and their limit.

    Raises:
        ConfigError: no benchmark, one named twice, or a limit below 1.
    """
    from harness.config import BenchmarkSettings, ConfigError, RunConfig

    if limit is not None and limit < 1:
        raise ConfigError(f"--limit {limit}: at least 1")
    chosen = dict(config.benchmarks)
    if benchmarks is not None:
        chosen = {}
        names = split_names(benchmarks)
        if not names:
            raise ConfigError("--benchmarks names none")
        for entry in names:
            name, _, protocol = entry.partition("/")
            if name in chosen:
                raise ConfigError(f"--benchmarks names {name} twice: one protocol per run")
            settings = config.benchmarks.get(name, BenchmarkSettings())
            chosen[name] = (
                settings.model_copy(update={"protocol": protocol}) if protocol else settings
            )
    changes = {"limit": limit} if limit is not None else {}
    settled = {name: {**value.model_dump(), **changes} for name, value in chosen.items()}
    return RunConfig.model_validate({**config.model_dump(), "benchmarks": settled})
