"""Makes run folders for the tests of this room, laid out as the harness writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leaderboards.records import ItemScore, Score

UNITS = {"percent": 100.0, "points": 1.0, "characters": 1.0}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def start_run(root: Path, name: str = "demo", **info: Any) -> Path:
    """A run folder with its run.json and nothing else."""
    path = root / name
    config = {"method": {"loss": {"kind": "ipo"}}}
    write_json(
        path / "run.json",
        {"schema": 1, "name": name, "model": "tiny", "config": config, "seeds": [0], **info},
    )
    return path


def checkpoint_folder(run: Path, arm: str, iteration: int) -> Path:
    return run / "base" if arm == "base" else run / arm / f"iter-{iteration}"


def add_eval(
    run: Path,
    benchmark: str,
    values: Sequence[float],
    *,
    arm: str = "base",
    iteration: int = 0,
    metric: str = "accuracy",
    unit: str = "percent",
    item_metric: str | None = None,
    clusters: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    outputs: Iterable[Mapping[str, Any]] | None = None,
    folder: str = "eval",
    **score: Any,
) -> Path:
    """One finished evaluation whose score is the mean of ``values`` (or what ``score`` overrides)."""
    target = checkpoint_folder(run, arm, iteration) / folder / benchmark
    ids = ids or [f"item-{i}" for i in range(len(values))]
    name = item_metric or metric
    items = [
        ItemScore(
            benchmark=benchmark,
            item_id=item,
            values={} if math.isnan(value) else {name: value},
            cluster=clusters[i] if clusters else "",
        )
        for i, (item, value) in enumerate(zip(ids, values, strict=True))
    ]
    known = np.array([value for value in values if not math.isnan(value)])
    fields: dict[str, Any] = {
        "benchmark": benchmark,
        "metric": metric,
        "unit": unit,
        "value": float(known.mean()) * UNITS[unit],
        "stderr": float(known.std(ddof=1) / np.sqrt(known.size)) * UNITS[unit],
        "n": int(known.size),
        "n_expected": len(values),
        "protocol": f"{benchmark}@1",
        "headline": True,
        "arm": arm,
        "iteration": iteration,
    }
    fields.update(score)
    write_scores(target, [Score(**fields)])
    (target / "items.jsonl").write_text(
        "".join(item.model_dump_json() + "\n" for item in items), encoding="utf-8"
    )
    if outputs is not None:
        lines = "".join(json.dumps(dict(row)) + "\n" for row in outputs)
        (target / "outputs.jsonl").write_text(lines, encoding="utf-8")
    write_stage(run, target, kind="eval")
    return target


def add_score(folder: Path, **score: Any) -> None:
    """Append one more figure to a finished evaluation."""
    rows = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    write_json(folder / "scores.json", [*rows, Score(**score).model_dump()])


def write_scores(folder: Path, scores: Sequence[Score]) -> None:
    write_json(folder / "scores.json", [score.model_dump() for score in scores])


def write_stage(run: Path, folder: Path, **fields: Any) -> None:
    stage = {"schema": 1, "stage": folder.relative_to(run).as_posix(), "status": "done", "seed": 0}
    write_json(folder / "stage.json", {**stage, "started": "2026-01-01T00:00:00", **fields})


def coin_flips(n: int, share: float, seed: int) -> list[float]:
    """n zeros and ones with exactly round(n * share) ones, in a seeded order."""
    values = np.zeros(n)
    values[: round(n * share)] = 1.0
    return np.random.default_rng(seed).permutation(values).tolist()
