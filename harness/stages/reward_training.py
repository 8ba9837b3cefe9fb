"""The stages of a reward model: the pairs it is trained on, and its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.errors import UserError, did_you_mean
from groundwork.files import digest, read_json, read_json_lines, write_json_lines
from groundwork.records import read_records
from harness.data import DataSource
from harness.errors import DataError
from harness.stage import CheckpointKey, PlanInputs, Source, Stage, StageContext, StageResult
from harness.stages.arm_step import training_identity
from harness.stages.draw_queries import preference_rows
from sso.arms import ARMS
from sso.records import PreferencePair

PAIRS = "pairs.jsonl"
MODEL = "model"
SETS: dict[str, tuple[str, ...]] = {
    "skywork": ("preference/skywork_80k_v0.2.jsonl", "preference/skywork.jsonl"),
    "ultrafeedback": (),
}
"""Preference sets by name and their files; without files, the source's usual preference set."""
NAMES = {"skywork": "skywork-80k-v0.2"}
"""How a set is called in tables, where its name says less."""


@dataclass(frozen=True)
class PairSet:
    """One part of a mix: its name in tables, and rows of prompt, chosen, rejected."""

    name: str
    rows: Sequence[Mapping[str, Any]]


def pair_set(spec: str, data: DataSource) -> PairSet:
    """The pairs that a part of the mix names: a set, a file, or the pairs of a run.

    Raises:
        UserError: no such set, file, run or arm (nearest named); a row that is no preference pair (file
            and line).
    """
    if spec.startswith("run:"):
        return _of_run(spec.removeprefix("run:"))
    if spec in SETS:
        name = NAMES.get(spec, spec)
        if not SETS[spec]:
            return PairSet(name, preference_rows(data, None))
        return PairSet(name, preference_rows(data, str(data.path(*SETS[spec]))))
    if Path(spec).is_file():
        return PairSet(Path(spec).stem, preference_rows(data, spec))
    raise UserError(
        f"no preference set {spec!r} ({did_you_mean(spec, SETS)}; a file, or run:RUN for a run's pairs)"
    )


def _of_run(place: str) -> PairSet:
    """``RUN``, ``RUN/ARM`` or ``RUN/ARM/iter-N``: the pairs that the policy was trained on."""
    run, rest = Path(place), ""
    while not (run / "run.json").is_file():
        if run.parent == run:
            raise UserError(
                f"run:{place}: no run folder (run:RUN, run:RUN/ARM or run:RUN/ARM/iter-N)"
            )
        rest = f"{run.name}/{rest}" if rest else run.name
        run = run.parent
    arms = [str(name) for name in read_json(run / "run.json").get("arms", [])]
    arm, _, iteration = rest.partition("/")
    if not arm and len(arms) > 1:
        raise UserError(f"run:{place} has several arms: name one, as in run:{place}/{arms[0]}")
    arm = arm or (arms[0] if arms else "")
    if arm not in arms:
        raise UserError(
            f"{run} has no arm {arm!r} ({did_you_mean(arm, arms)})" if arms else f"{run} has no arm"
        )
    judged = ARMS[arm].judged if arm in ARMS else "*"
    files = sorted(run.glob(f"**/{arm}/{iteration or 'iter-*'}/{judged}/{PAIRS}"))
    if not files:
        raise UserError(f"{run} has no finished pairs of {arm} {iteration}".rstrip())
    rows = [
        {**pair.model_dump(), "id": f"{file.parent.parent.name}/{pair.id}"}
        for file in files
        for pair in read_records(file, PreferencePair)
    ]
    return PairSet(arm, rows)


def mix_name(sets: Sequence[PairSet]) -> str:
    """The mix in tables: ``skywork-80k-v0.2+sso``."""
    return "+".join(dict.fromkeys(part.name for part in sets))


def mix_stage(sets: Sequence[PairSet], key: CheckpointKey) -> Stage:
    """All pairs of the mix in one file, with ids of their own; repeated pairs once."""

    def work(run: StageContext) -> StageResult:
        found: dict[str, dict[str, Any]] = {}
        for part in sets:
            for row in part.rows:
                content = {k: row[k] for k in ("prompt", "chosen", "rejected")}
                line = {"id": f"{part.name}/{row['id']}", **content}
                if row.get("truncated"):
                    line["truncated"] = list(row["truncated"])
                found.setdefault(digest(content), line)
        if not found:
            raise DataError("the mix has no pairs")
        write_json_lines(run.folder / PAIRS, found.values())
        given = sum(len(part.rows) for part in sets)
        return StageResult(counts={"pairs": len(found), "repeated_pairs": given - len(found)})

    return Stage(
        id=f"{key.folder}/pairs",
        kind="data",
        inputs={
            part.name: Source(fingerprint=digest([dict(row) for row in part.rows])) for part in sets
        },
        settings={"sets": [part.name for part in sets]},
        work=work,
        seed=key.seed,
        arm=key.arm,
    )


def reward_stage(inputs: PlanInputs, key: CheckpointKey, base: Source) -> Stage:
    """Training of the reward model on the mix."""
    config = inputs.config
    settings = config.method_of("reward")

    def work(run: StageContext) -> StageResult:
        from groundwork.seeds import item_seed
        from sso.launch import launch
        from sso.objectives import PromptGroup
        from sso.training import TrainingRun

        run.resources.release()
        pairs = [
            PreferencePair(
                id=str(row["id"]),
                query_id=str(row["id"]),
                prompt=_messages(row["prompt"]),
                chosen=row["chosen"],
                rejected=row["rejected"],
                kind="annotated",
                truncated=tuple(row.get("truncated", ())),
            )
            for row in read_json_lines(run.inputs["pairs"] / PAIRS)
            if row["chosen"].strip() and row["rejected"].strip()
        ]
        training = TrainingRun(
            out=run.folder / MODEL,
            work=run.folder / "work",
            seed=item_seed(key.seed, 1, "", "reward"),
            progress=run.progress,
        )
        groups = [PromptGroup(pair.id, (pair,)) for pair in pairs]
        policy = run.inputs["policy"]
        return launch(policy, groups, "reward", settings, training, how=config.launch)

    return Stage(
        id=f"{key.folder}/reward",
        kind="train",
        inputs={"policy": base, "pairs": Source(stage=f"{key.folder}/pairs")},
        settings={"training": training_identity(settings.training), **inputs.template_date},
        work=work,
        seed=key.seed,
        iteration=1,
        arm=key.arm,
    )


def _messages(prompt: Any) -> tuple[dict[str, str], ...]:
    if isinstance(prompt, str):
        return ({"role": "user", "content": prompt},)
    return tuple({"role": turn["role"], "content": turn["content"]} for turn in prompt)
