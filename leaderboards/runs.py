"""Reads run folders: what a run is, which of its evaluations are finished, and their records.

Only the documented layout is relied on (``run.json``, one ``stage.json`` per finished stage,
``scores.json`` and ``items.jsonl`` in evaluation stages), so a run of another machine reads the same.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from groundwork import files
from groundwork.checksums import check_output, is_whole
from groundwork.errors import UserError, nearest
from groundwork.printable import whole_characters
from groundwork.records import first_problem
from leaderboards.benchmark_info import LAST, ArmInfo
from leaderboards.legacy_info import arm_info
from leaderboards.records import ItemScore, Score

SCHEMA = 1


@dataclass(frozen=True)
class Evaluation:
    """One finished evaluation stage: its folder, scores and ``stage.json``; ``loss`` and ``notes`` are
    what the stages that made the checkpoint recorded."""

    folder: Path
    scores: tuple[Score, ...]
    stage: dict[str, Any]
    loss: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One run folder as far as it is written."""

    path: Path
    info: dict[str, Any]
    evaluations: tuple[Evaluation, ...]
    stages: tuple[dict[str, Any], ...]
    unfinished: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        return str(self.info.get("name") or self.path.name)

    @property
    def model(self) -> str:
        return str(self.info.get("model") or "")

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that the run names, has stages or has figures of."""
        named = [str(arm) for arm in self.info.get("arms") or []]
        places = [stage_place(str(stage.get("stage", ""))) for stage in self.stages]
        named += [place[0] for place in places if place]
        scored = [score.arm or "base" for found in self.evaluations for score in found.scores]
        return tuple(dict.fromkeys([*named, *scored]))

    def arm_info(self, arm: str) -> ArmInfo:
        """How an arm is shown, as the run recorded it."""
        known = self.info.get("arm_info")
        stated = known.get(arm) if isinstance(known, dict) else None
        if not isinstance(stated, dict):
            return arm_info(arm)
        order = stated.get("order")
        return ArmInfo(
            str(stated.get("title") or arm),
            order if isinstance(order, int) else LAST,
            bool(stated.get("ablation")),
        )

    def arm_loss(self, arm: str) -> str:
        """The preference loss that the arm's training stages recorded, else the configured one."""
        recorded = [
            found
            for stage in self.stages
            if f"{arm}/iter-" in str(stage.get("stage", "")) and stage.get("kind") == "train"
            if (found := loss_of(stage.get("settings")))
        ]
        return recorded[-1] if recorded else loss_of(self.info.get("config") or {})

    @property
    def checkpoints(self) -> frozenset[tuple[str, str, int, int]]:
        """(arm, loss, seed, iteration) of every trained checkpoint that has figures."""
        return frozenset(
            (score.arm, found.loss, score.seed, score.iteration)
            for found in self.evaluations
            for score in found.scores
            if score.arm not in ("", "base")
        )

    @property
    def base_figures(self) -> dict[tuple[str, str, str, str, int], float | None]:
        """Figures of the starting model by benchmark, metric, category, protocol and seed."""
        return {
            (s.benchmark, s.metric, s.category, s.protocol, s.seed): s.value
            for found in self.evaluations
            for s in found.scores
            if s.arm in ("", "base")
        }


def stage_seed(stage: str) -> str:
    """The seed part of a stage's id (``seed-1``); empty in a run of one seed."""
    first = stage.split("/")[0]
    return first if first.startswith("seed-") else ""


def stage_place(stage: str) -> tuple[str, int] | None:
    """(arm, iteration) of a stage's id, e.g. ``seed-1/sso/iter-2/policy``; None outside an arm."""
    parts = stage.split("/")
    for arm, step in pairwise(parts):
        if step.startswith("iter-") and step[5:].isdigit():
            return arm, int(step[5:])
    return None


def loss_of(config: Any) -> str:
    """The kind of the preference loss (``ipo``, ``dpo``) named anywhere in a resolved config."""
    if not isinstance(config, dict):
        return ""
    section = config.get("loss")
    if isinstance(section, str):
        return section
    if isinstance(section, dict) and isinstance(section.get("kind"), str):
        return str(section["kind"])
    for value in config.values():
        if found := loss_of(value):
            return found
    return ""


def read_json(path: Path, what: str) -> Any:
    """Parse one JSON file, lone surrogates as U+FFFD; a damaged file is one clear line that names it."""
    try:
        value = files.read_json(path)
        text = json.dumps(value, ensure_ascii=False)
        return json.loads(whole_characters(text)) if text != whole_characters(text) else value
    except UserError as error:
        raise UserError(f"{what} is missing, damaged or half written: {error}") from None


def expand(paths: Iterable[Path | str]) -> list[Path]:
    """Run folders among ``paths``; a folder that only holds runs stands for all of them."""
    found: list[Path] = []
    for given in map(Path, paths):
        if (given / "run.json").is_file():
            found.append(given)
            continue
        if not given.exists():
            raise UserError(f"no such run folder: {given}{_near(given)}")
        inner = sorted(child.parent for child in given.glob("*/run.json")) if given.is_dir() else []
        if not inner:
            raise UserError(f"not a run folder (it has no run.json): {given}")
        found.extend(inner)
    if not found:
        raise UserError("no run folder was named")
    return found


def _near(missing: Path) -> str:
    """The run folder beside a missing one whose name is nearest, if one is near."""
    beside = [run.parent.name for run in missing.parent.glob("*/run.json")]
    match = nearest(missing.name, beside, cutoff=0.6)
    return f" (did you mean {missing.parent / match}?)" if match else ""


def read_info(path: Path) -> dict[str, Any]:
    """``run.json`` of a run folder, refused when a newer release wrote it."""
    return _read_record(path / "run.json", "the run's description")


def read_run(path: Path) -> Run:
    """Everything finished in one run folder (a partial run is read as far as it is).

    An evaluation of a checkpoint that was trained again since, or is being trained again, counts as
    unfinished: its figures belong to settings that the run no longer has.
    """
    info = read_info(path)
    records: dict[str, dict[str, Any]] = {}
    scored: list[str] = []
    for folder, names in _folders(path):
        stage = folder.relative_to(path).as_posix()
        if "stage.json" in names:
            records[stage] = _read_record(folder / "stage.json", "a stage record")
        if "scores.json" in names:
            scored.append(stage)
    done = {name: record for name, record in records.items() if _is_done(record)}
    unfinished = [name for name in scored if name not in done or _is_outdated(name, records)]
    evaluations = [_evaluation(path, name, info, done) for name in scored if name not in unfinished]
    stages = _in_order(info, done.values())
    left = [name for name in _left(info, stages) if name not in unfinished]
    return Run(path, info, tuple(evaluations), tuple(stages), (*unfinished, *left))


def _in_order(info: Mapping[str, Any], stages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages as the run plans them (one that was redone started last); others by their start."""
    planned = info.get("stages")
    names = [str(name) for name in planned] if isinstance(planned, list) else []
    place = {name: i for i, name in enumerate(names)}

    def key(stage: Mapping[str, Any]) -> tuple[int, str]:
        return place.get(str(stage.get("stage")), len(place)), str(stage.get("started", ""))

    return sorted(stages, key=key)


def _is_done(record: Mapping[str, Any]) -> bool:
    return record.get("status", "done") == "done"


def _siblings(name: str, records: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The stages of the iteration that a stage belongs to; none outside an iteration."""
    parts = name.split("/")
    steps = [i for i, part in enumerate(parts) if part.startswith("iter-")]
    if not steps:
        return {}
    prefix = "/".join(parts[: steps[0] + 1]) + "/"
    return {other: record for other, record in records.items() if other.startswith(prefix)}


def source_of(name: str, records: Mapping[str, dict[str, Any]], kind: str, output: str) -> str:
    """The stage of the same iteration whose ``output`` the stage ``name`` read, by checksum; empty
    where no stage of that kind is recorded, or none matches.

    ``kind`` is the input's name in the stage's record (``model``, ``pairs``).
    """
    wanted = (records[name].get("inputs") or {}).get(kind)
    for other, record in _siblings(name, records).items():
        outputs = {
            file: meta.get("sha256")
            for file, meta in (record.get("outputs") or {}).items()
            if file == output or file.startswith(f"{output}/")
        }
        if outputs and wanted == files.digest(outputs):
            return other
    return ""


def _is_outdated(name: str, records: Mapping[str, dict[str, Any]]) -> bool:
    """Whether a scored stage read a checkpoint or pairs that are no longer the iteration's own."""
    makers = _siblings(name, records)
    inputs = records[name].get("inputs") or {}
    for kind, output, makes in (("model", "model", "train"), ("pairs", "pairs.jsonl", "sample")):
        makes_it = [record for record in makers.values() if record.get("kind") == makes]
        recorded = [record for record in makes_it if record.get("outputs") or not _is_done(record)]
        if kind in inputs and recorded:
            source = source_of(name, records, kind, output)
            if not source or not _is_done(records[source]):
                return True
    return False


def _evaluation(
    path: Path, name: str, info: Mapping[str, Any], done: Mapping[str, dict[str, Any]]
) -> Evaluation:
    made = [r for r in _siblings(name, done).values() if r.get("kind") in ("train", "sample")]
    losses = [found for r in made if (found := loss_of(r.get("settings")))]
    notes = [str(n) for r in (*made, done[name]) for n in r.get("notes") or ()]
    return Evaluation(
        path / name,
        read_scores(path / name / "scores.json"),
        done[name],
        losses[-1] if losses else loss_of(info.get("config") or {}),
        tuple(dict.fromkeys(notes)),
    )


def _left(info: dict[str, Any], stages: Sequence[dict[str, Any]]) -> list[str]:
    """Planned evaluation stages (``run.json`` lists the plan) that are not done."""
    planned = info.get("stages")
    done = {stage.get("stage") for stage in stages}
    names = planned if isinstance(planned, list) else []
    return [
        str(name)
        for name in names
        if name not in done
        and ("eval" in str(name).split("/") or str(name).endswith("pair_accuracy"))
    ]


def read_scores(path: Path) -> tuple[Score, ...]:
    """The Score records of one ``scores.json``; NaN and infinite figures are refused."""
    check_output(path)
    rows = read_json(path, "the file of scores")
    if not isinstance(rows, list):
        raise UserError(f"scores are not a JSON list: {path}")
    scores = []
    for number, row in enumerate(rows, 1):
        try:
            score = Score.model_validate(row)
        except ValidationError as error:
            raise UserError(f"{path}: score {number}: {first_problem(error)}") from None
        _check_finite(score, path)
        scores.append(score)
    return tuple(scores)


def read_items(folder: Path) -> list[ItemScore]:
    """The ItemScore lines of an evaluation folder, in file order."""
    path = folder / "items.jsonl"
    if not path.is_file():
        return []
    check_output(path)
    items = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                items.append(ItemScore.model_validate_json(line))
            except ValidationError as error:
                raise UserError(f"{path}:{number}: {first_problem(error)}") from None
            for metric, value in items[-1].values.items():
                if not math.isfinite(value):
                    raise UserError(
                        f"{path}:{number}: {metric} is {value}, not a number; "
                        "evaluate this benchmark again"
                    )
    return items


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file; a torn last line (a killed writer) is left out.

    Raises:
        UserError: a line that is no JSON, or a stage's output that is not as the stage wrote it.
    """
    check_output(path)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                if not line.endswith("\n"):
                    return
                raise UserError(f"{path}:{number}: not a JSON line: {error}") from None
            if isinstance(value, dict):
                yield value


def read_runs(paths: Sequence[Path | str], need_scores: bool = True) -> list[Run]:
    """Read every run named.

    Raises:
        UserError: no run, a damaged or newer one, or (with ``need_scores``) no finished score.
    """
    runs = [read_run(path) for path in expand(paths)]
    if need_scores and not any(run.evaluations for run in runs):
        done = ", ".join(str(stage.get("stage")) for stage in runs[0].stages[-3:]) or "none"
        raise UserError(
            f"no finished scores in {runs[0].path} (last finished stages: {done}); resume the run first"
        )
    return runs


def _folders(path: Path) -> Iterator[tuple[Path, set[str]]]:
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield Path(folder), set(names)


def _read_record(path: Path, what: str) -> dict[str, Any]:
    """A JSON object with a schema that this release reads."""
    record = read_json(path, what)
    if not isinstance(record, dict):
        raise UserError(f"{what} is not a JSON object: {path}")
    if not is_whole(files.read_json(path)):
        raise UserError(f"{path} is damaged (its checksum is another): run the experiment again")
    schema = record.get("schema", SCHEMA)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise UserError(
            f"{path} has schema {schema}; this release reads up to {SCHEMA}: upgrade sso-bench"
        )
    return record


def _check_finite(score: Score, path: Path) -> None:
    for name in ("value", "stderr", "ci_low", "ci_high"):
        figure = getattr(score, name)
        if figure is not None and not math.isfinite(figure):
            raise UserError(
                f"{path}: {score.benchmark} {score.metric}: {name} is {figure}, not a number; "
                "evaluate this benchmark again"
            )
