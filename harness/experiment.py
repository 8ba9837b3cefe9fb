"""The main job: prepare an experiment, run its plan in its folder, leave the tables."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundwork.addresses import without_secrets, without_secrets_in
from groundwork.files import digest
from harness.config import RunConfig
from harness.engines import engine_identity
from harness.estimate import relative_times
from harness.executor import closed_after_error
from harness.executors import Order, open_executor
from harness.news import Forecast, outline
from harness.plan import recorded_settings
from harness.prepare import Prepared, judge_uses, prepare
from harness.progress import Reporter
from harness.resources import verdict_store
from harness.retry_errors import failed_stages, retry_errors
from harness.run_folder import SCHEMA, RunFolder, now
from harness.runner import Runner, RunSummary
from harness.shards import check_same_run, whole_set
from harness.stage import Stage
from harness.stage_runner import package_versions
from sso.arms import get_arm
from sso.settings import SPEED_ONLY

IN_NAME = ("preset", "model", "data", "mode", "seeds")
"""Keys that the default folder's name shows in its own way."""
EXTENDING = (
    *("iterations", "methods", "storage", "engine.batch_size", "engine.loaded_models"),
    *("engine.data_parallel", "engine.tensor_parallel", "engine.gpu_memory", "launch", "executor"),
    *("judge.max_cost", "judge.max_calls", "judge.concurrency"),
    *(f"training.{step}{k}" for step in ("", "generator.", "policy.") for k in sorted(SPEED_ONLY)),
)
"""Keys that add to a run or only move its speed: the folder stays the same."""
LONGEST_NAME = 60


def default_out(config: RunConfig, preset: RunConfig, prefix: str = "") -> Path:
    """``runs/NAME``: the preset's name and the settings that differ from the preset's, so that runs
    of other settings get other folders."""
    parts = [prefix + config.preset]
    if config.model != preset.model:
        parts.append(Path(config.model).name)
    if config.data != preset.data:
        parts.append(Path(config.data).name)
    if config.mode != preset.mode:
        parts.append(config.mode)
    if config.seeds != preset.seeds:
        parts.append("seed" + "-".join(str(seed) for seed in config.seeds))
    settings = _differences(preset.model_dump(mode="json"), config.model_dump(mode="json"))
    if settings:
        listed = "-".join(settings)
        parts.append(
            listed if len(listed) <= LONGEST_NAME else f"{settings[0]}-{digest(settings)[:6]}"
        )
    return Path("runs") / "-".join(part for part in parts if part)


def _differences(preset: Any, config: Any, key: str = "") -> list[str]:
    """``key=value`` of every setting that moves a figure and differs from the preset's. A benchmark
    that is left out, or added with its defaults, changes no other figure."""
    if key in (*IN_NAME, *EXTENDING) or preset == config:
        return []
    if isinstance(preset, dict) and isinstance(config, dict):
        names = [n for n in config if n in preset or key != "benchmarks"]
        found = []
        for name in names:
            found += _differences(preset.get(name), config[name], f"{key}.{name}" if key else name)
        return found
    value = "-".join(map(str, config)) if isinstance(config, list) else str(config)
    value = without_secrets(value)
    leaf = key if key.startswith("benchmarks.") else key.rpartition(".")[2]
    return [re.sub(r"[^\w.=+-]+", "_", f"{leaf.removeprefix('benchmarks.')}={value}")]


@dataclass(frozen=True)
class Redo:
    """What of finished stages may be done again: those of other ``settings``, and items that ended in
    ``errors`` (only these are asked again)."""

    settings: bool = False
    errors: bool = False


NOTHING = Redo()


def run_experiment(
    config: RunConfig,
    out: Path,
    reporter: Reporter,
    *,
    redo: Redo = NOTHING,
    others: Sequence[RunFolder] | None = None,
    shards: Sequence[Path] = (),
) -> RunSummary:
    """Run (or resume) the experiment in ``out`` and write ``run.json`` and the tables.

    ``redo`` says what of finished stages is done again. With ``others`` (run folders whose
    finished stages may be taken over) the folder is one part of several experiments: its description
    goes on naming the arms and benchmarks that it had. Answers are taken from ``shards``, a whole set of
    ``harness.shards``.

    Raises:
        UserError: anything wrong with the configuration, the folder or what it needs, or finished
            stages that would be replaced.
    """
    folder = RunFolder(out)
    prepared = prepare(config, out, reporter.say)
    if shards:
        check_same_run(shards, config, prepared.inputs)
        prepared.resources.shards = whole_set(shards, config)
    with folder.lock(f": sso-bench work {out} joins it"):
        if damage := folder.description_damage():
            reporter.say(damage)
        folder.clean()
        resources = prepared.resources
        runner = Runner(folder, prepared.plan, resources, reporter, redo.settings, others or ())
        runner.forecast = Forecast(relative_times(prepared))
        runner.check()
        reporter.say(outline(prepared.plan))
        describe_run(folder, prepared, keep=others is not None, redo=redo.settings)
        try:
            order = Order.of(config, folder, redo.settings)
            order = replace(order, others=_roots(others or ()), shards=tuple(shards))
            runner.executor = open_executor(config, order, reporter.say) or runner.executor
            with closed_after_error(runner.executor):
                watch_judge(folder, prepared, reporter)
            summary = runner.execute()
            if redo.errors:
                retried = retry_errors(folder, prepared.plan, resources, reporter)
                summary.done += retried
                summary.skipped = [name for name in summary.skipped if name not in retried]
            summary.failed = failed_stages(folder, prepared.plan)
            finish_run(folder, prepared)
        finally:
            prepared.resources.close()
    return summary


def _roots(folders: Sequence[RunFolder]) -> tuple[Path, ...]:
    return tuple(folder.root.absolute() for folder in folders)


def describe_run(
    folder: RunFolder, prepared: Prepared, *, keep: bool = False, redo: bool = False
) -> None:
    """Write ``run.json``, keeping the creation time of a resumed run; with ``keep`` also the arms,
    benchmarks and stages that it had before. ``engine``, ``plan``, ``store`` and ``redo`` are for those who
    join the run."""
    config = prepared.config
    old = folder.description() or {}
    before = old if keep else {}
    folder.describe(
        {
            "schema": SCHEMA,
            "id": prepared.resources.run_id,
            "name": folder.root.name,
            "created": old.get("created", now()),
            "config": without_secrets_in(json.loads(config.model_dump_json())),
            "versions": package_versions(),
            "git": git_state(),
            "model": config.model,
            "model_fingerprint": prepared.inputs.model.fingerprint,
            "model_source": prepared.inputs.model.source,
            **prepared.inputs.template_date,
            "data": prepared.inputs.data.label,
            "arms": _with(before, "arms", config.methods if config.effective_iterations else []),
            "arm_info": {**before.get("arm_info", {}), **_arm_info(config)},
            "iterations": max(config.effective_iterations, int(before.get("iterations", 0))),
            "seeds": list(config.seeds),
            "benchmarks": _with(before, "benchmarks", config.benchmarks),
            "stages": _with(before, "stages", [stage.id for stage in prepared.plan]),
            "engine": engine_identity(config.engine),
            "plan": plan_digests(prepared.plan),
            "store": store_of(prepared),
            "redo": redo,
            **{key: old[key] for key in ("judge", "judge_drift") if key in old},
        },
    )


def plan_digests(plan: Sequence[Stage]) -> dict[str, str]:
    """What each stage depends on besides other stages, by id: the same on every machine that can do it."""
    return {
        stage.id: digest(
            [
                recorded_settings(stage),
                stage.seed,
                {n: s.fingerprint for n, s in stage.inputs.items() if not s.stage},
            ]
        )[:16]
        for stage in plan
    }


def store_of(prepared: Prepared) -> str | None:
    """The name of the verdict store that bounds what this run may spend; None without a bound."""
    settings = prepared.config.judge
    if settings.max_cost is None and settings.max_calls is None:
        return None
    from judges.store import VerdictStore

    store = VerdictStore(verdict_store())
    if store.fact("store") is None:
        store.set_fact("store", uuid.uuid4().hex)
    return str(store.fact("store"))


def _with(before: Mapping[str, Any], key: str, now_named: Iterable[str]) -> list[str]:
    """What was named before, and what is named now."""
    return list(dict.fromkeys([*before.get(key, []), *now_named]))


def _arm_info(config: RunConfig) -> dict[str, dict[str, Any]]:
    """What tables, plots and the report need to know of each arm."""
    return {
        arm.name: {"title": arm.title, "order": arm.order, "ablation": arm.ablation}
        for arm in map(get_arm, config.methods)
    }


def watch_judge(folder: RunFolder, prepared: Prepared, reporter: Reporter) -> None:
    """Ask a server's judge the fixed canary set and compare with the first time, so that a model
    that was changed silently is noticed. Once a run; a run that is done asks nothing."""
    from judges.canary import run_canary
    from judges.server import ServerJudge

    description = folder.description() or {}
    if "judge_drift" in description:
        return
    drifts = []
    for judge in prepared.resources.judges(judge_uses(prepared.config)).values():
        if isinstance(judge, ServerJudge):
            drifts.append(run_canary(judge))
            reporter.say(f"judge: {drifts[-1].line()}")
    if drifts:
        worst = max(drifts, key=lambda drift: drift.drifted)
        folder.describe({**description, "judge_drift": vars(worst)})


def finish_run(folder: RunFolder, prepared: Prepared) -> None:
    """Record the judges that were used, and write the tables as Markdown and CSV."""
    from groundwork.files import write_atomic
    from leaderboards import render_table

    description = folder.description() or {}
    uses = judge_uses(prepared.config)
    if description.get("judge") is None and uses:
        described = {use: prepared.resources.judge(use).describe() for use in uses}
        description["judge"] = described[uses[0]]
        if prepared.config.judge.names():
            description["judges"] = described
        folder.describe(description)
    for form, ending in (("md", "md"), ("csv", "csv")):
        write_atomic(
            folder.root / "tables" / f"iterations.{ending}",
            render_table([folder.root], format=form),
        )


def git_state() -> dict[str, Any] | None:
    """Commit and cleanliness of the working directory's git checkout, ``None`` outside one."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain"], capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(dirty)}
