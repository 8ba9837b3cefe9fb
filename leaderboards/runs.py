"""Reads run folders: what a run is, which of its evaluations are finished, and their records.

Only the documented layout is relied on (``run.json``, one ``stage.json`` for each finished stage,
``scores.json`` and ``items.jsonl`` in evaluation stages), so a run of another machine reads the same.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from groundwork.errors import UserError
from leaderboards.records import ItemScore, Score

SCHEMA = 1


@dataclass(frozen=True)
class Evaluation:
    """One finished evaluation stage: its folder, its scores and what its ``stage.json`` says."""

    folder: Path
    scores: tuple[Score, ...]
    stage: dict[str, Any]


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
    def loss(self) -> str:
        return loss_of(self.info.get("config") or {})


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
    """Parse one JSON file; a damaged file is one clear line that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{what} cannot be read: {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{what} is damaged or half written: {path}: {error}") from None


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
    """A hint at the run folder beside a missing one whose name is nearest, if one is near."""
    beside = [run.parent.name for run in missing.parent.glob("*/run.json")]
    match = get_close_matches(missing.name, beside, n=1)
    return f" (did you mean {missing.parent / match[0]}?)" if match else ""


def read_info(path: Path) -> dict[str, Any]:
    """``run.json`` of a run folder, refused when a newer release wrote it."""
    return _read_record(path / "run.json", "the run's description")


def read_run(path: Path) -> Run:
    """Everything finished in one run folder (a partial run is read as far as it is)."""
    info = read_info(path)
    evaluations, stages, unfinished = [], [], []
    for folder, names in _folders(path):
        stage = (
            _read_record(folder / "stage.json", "a stage record") if "stage.json" in names else None
        )
        if stage is not None and stage.get("status", "done") == "done":
            stages.append(stage)
        if "scores.json" not in names:
            continue
        if stage is None or stage.get("status", "done") != "done":
            unfinished.append(folder.relative_to(path).as_posix())
            continue
        evaluations.append(Evaluation(folder, read_scores(folder / "scores.json"), stage))
    stages.sort(key=lambda stage: str(stage.get("started", "")))
    left = [name for name in _left(info, stages) if name not in unfinished]
    return Run(path, info, tuple(evaluations), tuple(stages), (*unfinished, *left))


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
    """The objects of a JSON-lines file; a torn last line (a killed writer) is left out."""
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


def read_runs(paths: Sequence[Path | str]) -> list[Run]:
    """Read every run named; at least one of them must hold a finished score."""
    runs = [read_run(path) for path in expand(paths)]
    if not any(run.evaluations for run in runs):
        raise UserError(_no_scores(runs[0]))
    return runs


def first_problem(error: ValidationError) -> str:
    """The first complaint of a validation error in one line."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "record"
    return f"{where}: {problem['msg']}"


def _no_scores(run: Run) -> str:
    done = ", ".join(str(stage.get("stage")) for stage in run.stages[-3:]) or "none"
    return f"no finished scores in {run.path} (last finished stages: {done}); resume the run first"


def _folders(path: Path) -> Iterator[tuple[Path, set[str]]]:
    for folder, subfolders, names in os.walk(path):
        subfolders.sort()
        yield Path(folder), set(names)


def _read_record(path: Path, what: str) -> dict[str, Any]:
    """A JSON object with a schema that this release reads."""
    record = read_json(path, what)
    if not isinstance(record, dict):
        raise UserError(f"{what} is not a JSON object: {path}")
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
