"""Everything that can be known to be wrong before a run starts, collected and reported at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from groundwork.errors import UserError
from harness.config import RunConfig
from harness.plan import build_plan, plan_status
from harness.run_folder import RunFolder
from harness.served_model import ask_served, is_served, served_model
from harness.stage import PlanInputs, Stage

if TYPE_CHECKING:
    from harness.models import ResolvedModel
    from harness.resources import Resources

T = TypeVar("T")

IDENTITY = ("model", "data", "mode", "seeds")
"""Configuration keys that make a run another experiment; all others only redo what they touch."""

DISK_MARGIN = 200_000_000
"""Bytes that should stay free beside what a run writes."""


@dataclass(frozen=True)
class Prepared:
    """A checked experiment: what it starts from and all that it will do."""

    inputs: PlanInputs
    plan: list[Stage]
    resources: Resources

    @property
    def config(self) -> RunConfig:
        """The validated configuration."""
        return self.inputs.config


def prepare(config: RunConfig, out: Path | None, log: Callable[[str], None]) -> Prepared:
    """Resolve model and data, lay the plan, check judge and disk.

    Raises:
        UserError: with every problem found, one per line.
    """
    from harness.data import open_source
    from harness.engines import check_engine, engine_notes
    from harness.models import resolve_model
    from harness.planning.preflight import check_memory
    from harness.resources import Resources
    from harness.stages.write_principles import check_principles_from
    from sso.checkpoints import fitted_length

    problems: list[str] = []
    if out is not None:
        identity = {key: getattr(config, key) for key in IDENTITY}
        _collect(problems, lambda: RunFolder(out).check_owner(identity))
    _collect(problems, lambda: check_names(config))
    data = _collect(problems, lambda: open_source(config.data))
    model, name = None, _collect(problems, lambda: named_model(config))
    served = name is not None and is_served(config, name)
    if name is not None and served:
        model = _collect(problems, lambda: served_model(config, name, judge_uses(config)))
    elif name is not None and (not problems or Path(name).exists()):  # else it might be fetched
        model = _collect(problems, lambda: resolve_model(name, log=log))
    plan = resources = None
    if model is not None and not problems and not served:
        _collect(problems, lambda: check_kind(config, model.path))
    if model is not None and data is not None:
        run_id = _collect(problems, RunFolder(out).run_id) if out is not None else None
        resources = Resources(config, model, data, log, run_id=run_id or "")
        if not problems:
            plan = _collect(problems, lambda: build_plan(PlanInputs(config, data, model)))
        if plan is None or out is None or _anything_left(out, plan):
            _collect(problems, lambda: check_engine(config.engine))
            if config.writer.model is not None:
                _collect(problems, lambda: check_engine(config.writer))
            for note in engine_notes(config.engine):
                log(note)
            if served and not problems:
                _collect(problems, partial(ask_served, config, model.id))
            _collect(problems, lambda: check_judge(resources, config, log))
        if out is not None and not problems:
            _collect(problems, lambda: _check_disk(config, model, out))
        if config.methods and config.effective_iterations:
            for step in ("generator", "policy"):
                options = config.training.of_step(step)
                _collect(problems, partial(fitted_length, model.path, options))
            if not problems:
                _collect(problems, partial(check_memory, config, model.path))
            _collect(problems, lambda: check_principles_from(PlanInputs(config, data, model)))
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    assert plan is not None
    assert resources is not None
    assert model is not None
    assert data is not None
    return Prepared(PlanInputs(config, data, model), plan, resources)


def named_model(config: RunConfig) -> str:
    """The model to start from.

    Raises:
        UserError: a preset of a checkpoint that is not public, without ``--model``.
    """
    if not config.model:
        raise UserError(
            f"preset {config.preset} starts from a checkpoint that is not public: name yours with "
            "--model"
        )
    return config.model


def _collect(problems: list[str], check: Callable[[], T]) -> T | None:
    try:
        return check()
    except (ValueError, OSError) as error:
        problems += str(error).splitlines()
        return None


def check_names(config: RunConfig) -> None:
    """Raises ``UserError`` for unknown arms, benchmarks, protocols or principles."""
    from harness.benchmarks import get_benchmark, load_protocol
    from sso.arms import get_arm
    from sso.principles import load_principles

    problems: list[str] = []
    _collect(problems, partial(load_principles, config.principles.file))
    for method in config.methods:
        if _collect(problems, partial(get_arm, method)) is not None:
            _collect(problems, partial(_check_version, method, config.preset))
    for name, settings in config.benchmarks.items():
        if _collect(problems, partial(get_benchmark, name)) is not None:
            _collect(problems, partial(load_protocol, name, settings.protocol))
    if problems:
        raise UserError("\n".join(problems))


def check_kind(config: RunConfig, model: Path) -> None:
    """A model that writes text for training and most benchmarks, a reward model for the others."""
    from harness.benchmarks import get_benchmark
    from sso.reward_checkpoint import refuse_reward_model, require_reward_model

    kinds = {name: get_benchmark(name).info.measures for name in config.benchmarks}
    scored = [name for name, kind in kinds.items() if kind == "reward"]
    if scored and (config.methods and config.effective_iterations):
        raise UserError(
            f"{scored[0]} scores reward models: sso-bench reward trains one, and sso-bench eval DIR "
            f"--benchmarks {scored[0]} scores one"
        )
    if scored:
        require_reward_model(model)
    if len(scored) < len(kinds) or (config.methods and config.effective_iterations):
        refuse_reward_model(model)


def _check_version(arm: str, preset: str) -> None:
    """Raises ``UserError`` for an arm of one version of the paper with a preset of the other."""
    from harness.config import preset_names
    from leaderboards.paper import version_of_arm
    from sso.arms import ARMS, get_arm

    if preset == "quickstart" or preset not in preset_names():
        return
    own, version = version_of_arm(get_arm(arm).name), "v2" if preset.startswith("v2-") else "v1"
    if own is not None and own != version:
        fitting = [name for name in ARMS if version_of_arm(name) in (None, version)]
        raise UserError(
            f"{arm} is an arm of the paper's {own}, preset {preset} is of {version} (its arms: "
            f"{', '.join(fitting)})"
        )


def _anything_left(out: Path, plan: list[Stage]) -> bool:
    """Whether a stage is still to be run: a finished run needs no judge, no key and no server."""
    return any(reason for reason, _ in plan_status(RunFolder(out), plan).values())


def check_judge(resources: Resources, config: RunConfig, log: Callable[[str], None]) -> None:
    """A remote judge must answer one cheap request before anything is spent on training."""
    unfit = [_unfit(use, config.judge.judge_of(use)[0]) for use in judge_uses(config)]
    if any(unfit):
        raise UserError(next(text for text in unfit if text))
    for judge in resources.judges(judge_uses(config)).values():
        judge.check()
        for note in judge.notes:
            log(f"judge: {note}")


def _unfit(use: str, judge: str) -> str:
    """Why a judge can't give the verdicts of a use; empty where it can."""
    if judge.startswith("reward:") and use == "mt_bench":
        return (
            f"judge {judge} compares answers and rates none: another for MT-Bench "
            "(--set judge.mt_bench=NAME), or leave mt_bench out"
        )
    if judge.startswith("saved:") and use != "pairs":
        return f"judge {judge} has imported pairwise verdicts only, none for {use}"
    return ""


def judge_uses(config: RunConfig) -> list[str]:
    """The uses that a run has for judges: its judged benchmarks, and ``pairs``."""
    from harness.benchmarks import BENCHMARKS, get_benchmark

    judged = [n for n in config.benchmarks if n in BENCHMARKS and get_benchmark(n).needs_judge]
    return [*judged, *(["pairs"] if config.effective_iterations else [])]


def disk_needed(config: RunConfig, model: ResolvedModel) -> int:
    """Bytes that a run's checkpoints take at most at one time, two mid-stage ones among them."""
    from harness.planning.report import disk_bytes
    from sso.checkpoints import count_weights

    if model.source == "server":
        return 0
    return int(sum(disk_bytes(config, count_weights(model.path)).values()))


def _check_disk(config: RunConfig, model: ResolvedModel, out: Path) -> None:
    place = out.absolute()
    while not place.exists():
        place = place.parent
    present = sum(f.stat().st_size for f in out.rglob("*.safetensors")) if out.is_dir() else 0
    needed = max(disk_needed(config, model) - present, 0) + DISK_MARGIN
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"not enough disk space at {place}: {free / 1e9:.1f} GB free, about "
            f"{needed / 1e9:.1f} GB needed (storage.keep_policies=last needs less)"
        )
