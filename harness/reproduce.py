"""``sso-bench reproduce``: the runs of a published table or figure, and the table beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.errors import UserError, did_you_mean
from groundwork.files import write_atomic, write_json
from harness.config import RunConfig, load_config, merge, parse_override
from harness.experiments import (
    QUICK_PRESET,
    Experiment,
    ExperimentReward,
    ExperimentRun,
    Scale,
    experiments,
    quick_settings,
)
from harness.progress import Reporter
from harness.run_folder import RunFolder

DEFAULT_BENCHMARKS = {"v1": ("alpaca_eval", "mt_bench"), "v2": ("alpaca_eval", "mt_bench")}


@dataclass(frozen=True)
class Options:
    """How a target is reproduced: its scale, where the run folders lie, models by the paper's names,
    settings laid over every run."""

    scale: Scale
    root: Path
    models: Mapping[str, str]
    overrides: tuple[str, ...] = ()
    flags: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class PlannedRun:
    """A run folder with its configuration. ``reward``: it trains a reward model."""

    folder: Path
    config: RunConfig
    reward: bool = False


def run_name(run: ExperimentRun, scale: Scale, version: str) -> str:
    """Name of the folder: preset (or quick scale and version) and what differs from it. Tables whose
    runs have the same name share it."""
    head = f"quick-{version}" if scale == "quick" else run.preset
    settings = [f"{key}={value}" for key, value in run.set.items()]
    text = "-".join([head, *settings])
    return "".join(c if c.isalnum() or c in "=.-_" else "_" for c in text)


def benchmarks_of(experiment: Experiment) -> tuple[str, ...]:
    """The benchmarks of the text models that the table's columns need."""
    from leaderboards.paper import COLUMNS
    from leaderboards.reproduction import published_cells

    if experiment.kind != "table":
        return experiment.benchmarks
    columns = {place[3] for place in published_cells(experiment.name)}
    named = dict.fromkeys(COLUMNS[key][0] for key in columns)
    return tuple(sorted(name for name in named if name != "rewardbench"))


def all_benchmarks(version: str) -> tuple[str, ...]:
    """Every benchmark of text models that a table of the version shows: no query is one of their items."""
    found = {
        name
        for experiment in experiments().values()
        if experiment.version == version and experiment.kind == "table"
        for name in benchmarks_of(experiment)
    }
    return tuple(sorted(found))


def run_config(experiment: Experiment, run: ExperimentRun, options: Options) -> RunConfig:
    """The configuration of one run at a scale.

    Raises:
        ConfigError: listing every problem found.
        UserError: the starting model is not public and none is given.
    """
    from sso.arms import get_arm

    for arm in run.methods:
        get_arm(arm)
    quick = options.scale == "quick"
    settings: dict[str, Any] = {}
    for key, value in run.set.items():
        settings = merge(settings, _nested(key, value))
    if quick:
        writers = quick_settings()["writers"]
        writer = settings.get("writer", {}).get("model")
        if writer in writers:
            settings.pop("writer")
            for key, value in writers[writer].items():
                settings = merge(settings, _nested(key, value))
        settings = merge(dict(quick_settings()[experiment.version]), settings)
    wanted = benchmarks_of(experiment) if run.shown else ()
    flags: dict[str, Any] = merge(settings, dict(options.flags or {}))
    model = options.models.get(run.model)
    if model:
        flags["model"] = model
    flags["methods"] = list(run.methods)
    if not run.methods:
        flags["iterations"] = 0
    flags = merge(flags, {"queries": {"checked_against": list(all_benchmarks(experiment.version))}})
    config = load_config(QUICK_PRESET if quick else run.preset, (), _overridden(flags, options))
    if not config.model:
        raise UserError(
            f"{run.model} is not public: name your checkpoint with --model {run.model}=FOLDER"
        )
    named = {
        name: quick_settings()["benchmarks"][name] if quick else {"protocol": "paper"}
        for name in wanted
    }
    return RunConfig.model_validate({**config.model_dump(), "benchmarks": named})


def _overridden(flags: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """The settings of an experiment with the user's own on top; arms and benchmarks stay the table's."""
    found = dict(flags)
    for text in options.overrides:
        own = {k: v for k, v in parse_override(text).items() if k not in ("methods", "benchmarks")}
        found = merge(found, own)
    return found


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def planned_runs(experiment: Experiment, options: Options) -> list[PlannedRun]:
    """Every run folder of the experiment, each once, reward models last.

    At the quick scale, where all models are one, runs of one folder are one with all their arms.

    Raises:
        UserError: as ``run_config``, an unknown name in ``--model``.
    """
    named = [run.model for run in experiment.runs] + [r.model for r in experiment.rewards]
    known = list(dict.fromkeys(named))
    for name in options.models:
        if name not in known:
            raise UserError(
                f"{experiment.name} has no model {name!r} ({did_you_mean(name, known)})"
            )
    found: dict[Path, RunConfig] = {}
    for run in experiment.runs:
        folder = options.root / run_name(run, options.scale, experiment.version)
        config = run_config(experiment, run, options)
        found[folder] = _joined(found[folder], config) if folder in found else config
    plans = [PlannedRun(folder, config) for folder, config in found.items()]
    return plans + [_reward_plan(experiment, reward, options) for reward in experiment.rewards]


def _joined(first: RunConfig, second: RunConfig) -> RunConfig:
    """Two runs of one folder as one: arms and iterations of both."""
    fuller = first if first.iterations >= second.iterations else second
    arms = tuple(dict.fromkeys([*first.methods, *second.methods]))
    return fuller.model_copy(update={"methods": arms})


def _reward_plan(experiment: Experiment, reward: ExperimentReward, options: Options) -> PlannedRun:
    quick = options.scale == "quick"
    source = options.root / run_name(experiment.runs[0], options.scale, experiment.version)
    data = [
        f"run:{source}/{part.removeprefix('pairs/')}" if part.startswith("pairs/") else part
        for part in reward.data
    ]
    flags: dict[str, Any] = dict(options.flags or {})
    if quick:
        own = quick_settings()[experiment.version]
        flags = merge({key: own[key] for key in ("engine",)}, flags)
    model = options.models.get(reward.model)
    flags |= {"model": model} if model else {}
    flags = merge(flags, {"methods": [], "reward": {"data": data, "name": reward.arm}})
    flags = _overridden(flags, options)
    config = load_config(QUICK_PRESET if quick else reward.preset, (), flags)
    named = quick_settings()["benchmarks"]["rewardbench"] if quick else {"protocol": "paper"}
    config = RunConfig.model_validate({**config.model_dump(), "benchmarks": {"rewardbench": named}})
    head = f"quick-{experiment.version}" if quick else reward.preset
    return PlannedRun(options.root / f"{head}-reward", config, reward=True)


def reproduce(experiment: Experiment, options: Options, reporter: Reporter) -> str:
    """Run (or resume) the experiment and return what it prints.

    Raises:
        UserError: as ``planned_runs``, ``run_experiment`` and ``run_reward``.
    """
    from harness.experiment import run_experiment
    from harness.reward_run import run_reward

    if experiment.kind == "agreement":
        return _agreement(experiment, options)
    plans = planned_runs(experiment, options)
    for plan in plans:
        reporter.say(f"{experiment.name}: {plan.folder}")
        others = [folder for folder in run_folders(options.root) if folder.root != plan.folder]
        if plan.reward:
            run_reward(plan.config, plan.folder, reporter, others=others)
        else:
            run_experiment(plan.config, plan.folder, reporter, others=others)
    return result_text(experiment, options)


def run_folders(root: Path) -> list[RunFolder]:
    """The run folders beside each other under ``root``."""
    return [RunFolder(file.parent) for file in sorted(root.glob("*/run.json"))]


def result_text(experiment: Experiment, options: Options, form: str = "terminal") -> str:
    """The table, figure or characterisation from the run folders as they are.

    Raises:
        UserError: nothing of it is finished.
    """
    folders = list(dict.fromkeys(plan.folder for plan in planned_runs(experiment, options)))
    if experiment.kind == "figure":
        return _figure(experiment, options, folders)
    if experiment.kind == "overhead":
        return _overhead(experiment, options, folders)
    if experiment.kind == "sweep":
        from leaderboards import render_table

        return _written(
            experiment, options, lambda f: render_table(folders, experiment.layout, f), form
        )
    from leaderboards.render import draw
    from leaderboards.reproduction import reproduction_table

    table = reproduction_table(experiment.name, experiment.layout, parts(experiment, options))
    notes = ((experiment.note,) if experiment.note else ()) + _scale_notes(options)
    from dataclasses import replace

    table = replace(table, remarks=(*table.remarks, *notes))
    return _written(experiment, options, lambda f: draw(table, f), form)


def _scale_notes(options: Options) -> tuple[str, ...]:
    if options.scale != "quick":
        return ()
    return (
        "Quick scale: the quick-start model and sample data stand for every model; the machinery is "
        "what is checked.",
    )


def parts(experiment: Experiment, options: Options) -> list[Any]:
    """The figures of every run in its group of the published table."""
    from leaderboards import load_runs
    from leaderboards.reproduction import Part

    found = []
    for run in experiment.runs:
        folder = options.root / run_name(run, options.scale, experiment.version)
        if run.shown and (folder / "run.json").is_file():
            found.append(Part(run.group, load_runs([folder]), run.methods, base=not run.writer))
    for reward in experiment.rewards:
        folder = _reward_plan(experiment, reward, options).folder
        if (folder / "run.json").is_file():
            found.append(Part(reward.model, load_runs([folder]), (reward.arm,), base=False))
    return found


def _written(experiment: Experiment, options: Options, drawn: Any, form: str) -> str:
    stem = experiment.name.replace(":", "-")
    for kind, ending in (("md", "md"), ("csv", "csv")):
        write_atomic(options.root / "tables" / f"{stem}.{ending}", drawn(kind))
    return str(drawn(form))


def _figure(experiment: Experiment, options: Options, folders: Sequence[Path]) -> str:
    from leaderboards import load_runs, plots
    from leaderboards.identity import arms_of_runs
    from leaderboards.runs import read_runs

    frame, arms = load_runs(folders), arms_of_runs(read_runs(folders))
    by: Any = experiment.plot
    figure = plots.pair_quality_figure(frame, arms, by)
    path = options.root / "tables" / f"{experiment.name.replace(':', '-')}.pdf"
    lines = [f"written: {plots.save(figure, path)}"]
    return "\n".join([*lines, *([experiment.note] if experiment.note else [])])


def _overhead(experiment: Experiment, options: Options, folders: Sequence[Path]) -> str:
    from leaderboards.overhead import overhead_rows
    from leaderboards.runs import read_run

    lines: list[str] = []
    for folder in folders:
        rows = overhead_rows(read_run(folder))
        text = "\n".join(",".join(row) for row in rows) + "\n"
        write_atomic(options.root / "tables" / "overhead.csv", text)
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines += [
            "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows
        ]
    return "\n".join([*lines, experiment.note, *_scale_notes(options)])


def _agreement(experiment: Experiment, options: Options) -> str:
    """The judge of the scale's preset on labelled pairs of the data source."""
    from harness.data import open_source
    from harness.models import ResolvedModel, resolve_model
    from harness.resources import Resources
    from judges.agreement import measure_agreement
    from judges.protocols.labelled import load_labelled

    preset = QUICK_PRESET if options.scale == "quick" else "v2-llama3-8b-sft"
    config = load_config(preset, options.overrides, dict(options.flags or {}))
    data = open_source(config.data)
    file = data.path(*experiment.labelled)
    local = config.judge.judge_of("pairs")[0] == "local"
    model = resolve_model(config.model) if local else ResolvedModel(Path(), "folder", "", "")
    resources = Resources(config, model, data)
    try:
        judge = resources.judge("pairs")
        judge.check()
        found = measure_agreement(judge, load_labelled(file), data=file.stem)
    finally:
        resources.close()
    rows = found.table()
    write_json(options.root / "tables" / "human-agreement.json", dict(rows))
    width = max(len(name) for name, _ in rows)
    return "\n".join([*(f"{name:<{width}}  {value}" for name, value in rows), experiment.note])


def parse_models(given: Sequence[str]) -> dict[str, str]:
    """``NAME=MODEL`` options as a mapping.

    Raises:
        UserError: one without ``=``.
    """
    found = {}
    for text in given:
        name, equals, model = text.partition("=")
        if not equals or not name or not model:
            raise UserError(
                f"--model {text!r}: expected NAME=MODEL, as in --model Llama3.1-8B-SFT=DIR"
            )
        found[name] = model
    return found


def check_overrides(overrides: Sequence[str]) -> None:
    """Raises ``ConfigError`` for a ``--set`` that is no override."""
    for text in overrides:
        parse_override(text)
