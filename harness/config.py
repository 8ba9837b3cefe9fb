"""The configuration of an experiment: every key, its default and its validation.

A configuration comes from a preset (a YAML file in ``harness/presets`` or a user's own file), then
``--set key=value`` overrides, then flags. Unknown keys are errors that name the nearest valid one;
all problems are collected and reported together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    Field,
    NonNegativeInt,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from groundwork.errors import UserError, nearest
from groundwork.records import Section
from harness.engines.settings import EngineSettings
from harness.executor_settings import ExecutorSettings
from harness.judge_settings import JudgeSettings
from judges.settings import PairPrompt
from sso.settings import (
    LaunchSettings,
    LossSettings,
    MethodSettings,
    PrincipleSettings,
    SamplingSettings,
    TrainingSettings,
)

PRESET_FOLDER = Path(__file__).parent / "presets"


class ConfigError(UserError):
    """A configuration that can't be used; the message lists every problem, one per line."""


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``; mappings are merged key by key, all else is replaced."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out


class QuerySettings(Section):
    """Which queries the model writes to; ``per_iteration`` ``None`` splits all of them evenly."""

    file: str | None = Field(
        None, description="JSONL with id and query; default: the data source's"
    )
    per_iteration: int | None = Field(
        None, ge=1, description="queries per iteration; default: all, split evenly"
    )
    contamination: Literal["drop", "keep"] = Field(
        "drop", description="drop: leave out queries that are also benchmark items"
    )
    generator: int | None = Field(
        None, ge=1, description="queries a generator is trained on per iteration; default: all"
    )
    generator_file: str | None = Field(
        None, description="JSONL of the generator's queries; default: some of the policy's"
    )

    checked_against: tuple[str, ...] | None = Field(
        None, description="benchmarks whose questions are no queries; default: those of the run"
    )

    @property
    def generator_has_own(self) -> bool:
        """Whether a generator is trained on other queries than the policy."""
        return self.generator is not None or self.generator_file is not None


class PreferenceSettings(Section):
    """The annotated preference set of the ``ultrafeedback`` arm."""

    file: str | None = Field(None, description="JSONL with prompt, chosen and rejected")
    per_iteration: int | None = Field(
        None, ge=1, description="pairs per iteration; default: all, split evenly"
    )


class WriterSettings(EngineSettings):
    """Another model that writes principles (``None``: the policy itself), with an engine of its own,
    open only while it writes."""

    model: str | None = Field(
        None, description="another model that writes the principles; default: the policy"
    )


def _section_of_overrides(section: type[Section]) -> type[Section]:
    """The section with every key optional: what is not given is not overridden."""

    def optional(field: FieldInfo) -> Any:
        bounds = tuple(field.metadata)
        whole: Any = Annotated[(field.annotation, *bounds)] if bounds else field.annotation
        return whole | None

    fields: dict[str, Any] = {
        name: (optional(field), None) for name, field in section.model_fields.items()
    }
    return create_model(f"{section.__name__}Overrides", __base__=Section, **fields)


TrainingOverrides = _section_of_overrides(TrainingSettings)


TRAINED = ("generator", "policy", "reward")
"""Steps of training that may have settings of their own."""


class StepTraining(TrainingSettings):
    """Training of every step, and what differs for one of them."""

    generator: TrainingOverrides = TrainingOverrides()  # type: ignore[valid-type]
    policy: TrainingOverrides = TrainingOverrides()  # type: ignore[valid-type]
    reward: TrainingOverrides = TrainingOverrides()  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _valid_together(self) -> StepTraining:
        for step in TRAINED:
            self.of_step(step)
        return self

    def of_step(self, step: str) -> TrainingSettings:
        """The settings of a training step, its own section laid on the shared ones."""
        shared = self.model_dump(exclude=set(TRAINED))
        section = getattr(self, step) if step in TRAINED else None
        own = {} if section is None else section.model_dump(exclude_unset=True)
        given = {key: value for key, value in own.items() if value is not None}
        return TrainingSettings.model_validate(merge(shared, given))


Tag = Annotated[str, Field(min_length=1)]


class BenchmarkSettings(Section):
    """How one benchmark is run."""

    protocol: str = Field("community", description="a name of sso-bench presets protocols")
    limit: int | None = Field(None, ge=1, description="a seeded sample of the items; default: all")
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        description="settings of the protocol to replace; the protocol id changes with them",
    )


class PairAccuracySettings(Section):
    """How many pairs of an iteration the judge checks (``None``: all)."""

    limit: int | None = Field(None, ge=1, description="a seeded sample of the pairs; default: all")
    prompt: PairPrompt = Field(
        "pair-v2",
        description="one-letter: AlpacaEval's prompt, one token per call, as the paper measures",
    )


class RewardSettings(Section):
    """What a reward model is trained on (``sso-bench reward``)."""

    data: tuple[str, ...] = Field(
        (), description="skywork, ultrafeedback, a file, or run:RUN[/ARM[/iter-N]]"
    )
    name: str | None = Field(None, description="name of the mix in tables; default: from its data")


class StorageSettings(Section):
    """Which checkpoints stay on disk once nothing pending needs them."""

    keep_generators: bool = Field(False, description="keep the data generators' weights")
    keep_policies: Literal["all", "last"] = Field(
        "all", description="all checkpoints, or the last one of each arm"
    )


class RunConfig(Section):
    """One experiment: arms x iterations x seeds on one model, one data source and one judge."""

    preset: str = Field(
        "quickstart", description="what the other keys start from: a shipped preset or a YAML file"
    )
    model: str = Field(description="starting model: hub id or folder")
    data: str = Field("sample", description="starter or sample (shipped), hub, or a folder")
    methods: tuple[str, ...] = Field(("sso",), description="arms, in order (docs/method.md)")
    iterations: int = Field(
        3, ge=0, le=1000, description="rounds of sampling and training; 0 only evaluates"
    )
    mode: Literal["online", "offline"] = Field(
        "online",
        description="online: pairs from the newest policy; offline: one round over all queries",
    )
    seeds: tuple[NonNegativeInt, ...] = Field(
        (0,), min_length=1, description="one run of every arm per seed"
    )
    evaluate_base: bool = Field(True, description="score the starting model too")
    queries: QuerySettings = QuerySettings()
    preferences: PreferenceSettings = PreferenceSettings()
    engine: EngineSettings = EngineSettings()
    writer: WriterSettings = WriterSettings()
    principles: PrincipleSettings = PrincipleSettings()
    sampling: SamplingSettings = SamplingSettings()
    loss: LossSettings = LossSettings()
    principles_from: str | None = Field(
        None, description="a run (or principles.jsonl) whose written principles are taken"
    )
    training: StepTraining = StepTraining()
    launch: LaunchSettings = LaunchSettings()
    executor: ExecutorSettings = ExecutorSettings()
    benchmarks: dict[str, BenchmarkSettings] = Field(
        default_factory=dict,
        description="benchmarks by name, each with protocol, limit and overrides",
    )
    reasoning_markers: tuple[tuple[Tag, Tag], ...] = Field(
        (), description="opening and closing tags of reasoning, besides those that are known"
    )
    judge: JudgeSettings = JudgeSettings()
    pair_accuracy: PairAccuracySettings = PairAccuracySettings()
    reward: RewardSettings = RewardSettings()
    storage: StorageSettings = StorageSettings()

    @field_validator("seeds", "methods")
    @classmethod
    def _once_each(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("each only once")
        return values

    def method_of(self, step: str) -> MethodSettings:
        """The sections that the training core reads, for one step of an arm."""
        return MethodSettings(
            principles=self.principles,
            sampling=self.sampling,
            loss=self.loss,
            training=self.training.of_step(step),
        )

    @property
    def writes_principles_apart(self) -> bool:
        """Whether a stage of their own gives the principles: another writer's, or another run's."""
        return self.writer.model is not None or self.principles_from is not None

    @property
    def effective_iterations(self) -> int:
        """Offline training is one iteration over all queries."""
        return min(self.iterations, 1) if self.mode == "offline" else self.iterations


def preset_names() -> list[str]:
    """Names of the shipped presets, ``quickstart`` first."""
    names = sorted(p.stem for p in PRESET_FOLDER.glob("*.yaml") if not p.stem.startswith("_"))
    return sorted(names, key=lambda name: name != "quickstart")


def load_preset(name: str, within: tuple[str, ...] = ()) -> dict[str, Any]:
    """The raw mapping of a shipped preset or of a YAML file, its ``extends`` chain merged.

    Raises:
        ConfigError: unknown preset, unreadable file, or a file that is no mapping.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PRESET_FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"no preset {name!r}{_nearest(name, preset_names())}")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        detail = " ".join(str(error).split())[:200]
        raise ConfigError(f"preset file {path} is not valid YAML: {detail}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"preset file {path} must hold a mapping of keys")
    raw.pop("description", None)
    parent = raw.pop("extends", None)
    if name in within:
        raise ConfigError(f"preset {name!r} extends itself ({' -> '.join((*within, name))})")
    merged = merge(load_preset(str(parent), (*within, name)), raw) if parent else raw
    merged["preset"] = path.stem if path.parent != PRESET_FOLDER else name
    return merged


def preset_description(name: str) -> str:
    """One line about a shipped preset."""
    raw = yaml.safe_load((PRESET_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return str(raw.get("description", ""))


def parse_override(text: str) -> dict[str, Any]:
    """``a.b=value`` as a nested mapping; the value is read as YAML.

    Raises:
        ConfigError: no ``=``, an empty key, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r}: expected key=value, as in --set loss.kind=dpo")
    try:
        parsed: Any = yaml.safe_load(value) if value.strip() else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"--set {text!r}: the value is not valid YAML") from error
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def load_config(
    preset: str = "quickstart",
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Preset, then ``--set`` overrides, then flags (nested mapping), validated.

    Raises:
        ConfigError: listing every problem found, one per line.
    """
    raw = load_preset(preset)
    problems: list[str] = []
    for text in overrides:
        try:
            raw = merge(raw, parse_override(text))
        except ConfigError as error:
            problems.append(str(error))
    raw = merge(raw, flags or {})
    try:
        config = read_config(raw)
    except ConfigError as error:
        raise ConfigError("\n".join([*problems, str(error)])) from error
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def read_config(raw: Mapping[str, Any]) -> RunConfig:
    """A whole configuration, validated. Raises ``ConfigError`` listing every problem, one per line."""
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_describe(dict(item)) for item in error.errors())) from error


def valid_keys(model: type[Section] = RunConfig, prefix: str = "") -> list[str]:
    """All dotted keys of the configuration, sections included."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            keys += valid_keys(inner, f"{prefix}{name}.")
    return keys


def _describe(item: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_nearest(key, valid_keys())}"
    if item["type"] == "missing":
        return f"key {key!r} is required"
    shown = repr(item.get("input"))
    return f"{key} = {shown if len(shown) < 60 else shown[:57] + '...'}: {item['msg']}"


def _nearest(name: str, valid: Sequence[str]) -> str:
    """`` (did you mean ...?)`` with the nearest valid name, or one of the same last part, else all."""
    same = [key for key in valid if key.rpartition(".")[2] == name.rpartition(".")[2]]
    if match := nearest(name, valid) or next(iter(same), None):
        return f" (did you mean {match!r}?)"
    return f" (valid: {', '.join(sorted(valid))})" if len(valid) <= 40 else ""
