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
        "stderr": float(known.std(ddof=1) / np.sqrt(known.size)) * UNITS[unit]
        if known.size > 1
        else None,
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


def dated_run(
    root: Path, name: str, share: float, created: str, commit: str = "abc123def456", n: int = 400
) -> Path:
    """A run of one GSM8K evaluation with a date and a commit, as a history keeps it."""
    git = {"commit": commit, "dirty": False}
    run = start_run(root, name, created=created, git=git)
    add_eval(run, "gsm8k", coin_flips(n, share, 0))
    return run


BENCHMARKS: dict[str, tuple[str, str]] = {
    "gsm8k": ("accuracy", "percent"),
    "math": ("accuracy", "percent"),
    "gpqa": ("accuracy", "percent"),
    "mmlu_pro": ("accuracy", "percent"),
    "mt_bench": ("average", "points"),
    "alpaca_eval": ("lc_win_rate", "percent"),
}


def demo_run(
    root: Path,
    name: str = "demo",
    *,
    arms: Sequence[str] = ("sso", "pbaa", "ultrafeedback"),
    iterations: int = 3,
    n: int = 24,
    seed: int = 0,
    text: str = "The answer follows from the steps above.",
    marks: tuple[str, ...] = ("sample-data", "item-limit"),
    **info: Any,
) -> Path:
    """A whole experiment as the harness leaves it: sampling, training, evaluation, pairs, judge.

    Scores are random around a slow rise; ``text`` is put into every prompt and answer.
    """
    rng = np.random.default_rng(seed)
    judge = {"name": "local", "agreement": 0.71, "position_bias": 0.12}
    run = start_run(
        root,
        name,
        created="2026-01-02T03:04:05+00:00",
        iterations=iterations,
        arms=list(arms),
        versions={"torch": "2.13.0", "transformers": "5.19.0"},
        git={"commit": "0123456789abcdef", "dirty": False},
        judge=judge,
        **info,
    )
    _demo_evals(run, "base", 0, n, rng, text, marks)
    for arm in arms:
        for iteration in range(1, iterations + 1):
            _demo_training(run, arm, iteration, rng)
            _demo_evals(run, arm, iteration, n, rng, text, marks)
            wins = (rng.random(n) < 0.55 + 0.05 * iteration).astype(float).tolist()
            at = {"arm": arm, "iteration": iteration, "marks": marks}
            add_eval(run, "pair_accuracy", wins, folder=".", **at)
    return run


def _demo_evals(
    run: Path,
    arm: str,
    iteration: int,
    n: int,
    rng: np.random.Generator,
    text: str,
    marks: tuple[str, ...],
) -> None:
    for benchmark, (metric, unit) in BENCHMARKS.items():
        values = (rng.random(n) < 0.35 + 0.06 * iteration).astype(float)
        if unit == "points":
            values = np.round(rng.normal(5 + 0.3 * iteration, 1.5, n).clip(1, 10))
        outputs = [
            {
                "item_id": f"item-{i}",
                "prompt": f"Question {i} of {benchmark}: how many? {text}",
                "output": f"{arm} {iteration} says {rng.integers(100)}. {text} " * 3,
            }
            for i in range(n)
        ]
        if benchmark == "gpqa":
            outputs = [{**row, "output": "GATED-TEXT", "prompt": "GATED-TEXT"} for row in outputs]
        at = {"arm": arm, "iteration": iteration, "marks": marks, "n_truncated": iteration}
        folder = add_eval(
            run, benchmark, values.tolist(), metric=metric, unit=unit, outputs=outputs, **at
        )
        write_stage(run, folder, kind="eval", seconds=9.5, tokens=2000, peak_memory_gb=1.5)
        if benchmark == "alpaca_eval":
            for extra, value, of in (
                ("win_rate", 30.0, "percent"),
                ("length", 900 + 200 * iteration, "characters"),
            ):
                add_score(folder, benchmark=benchmark, metric=extra, value=value, unit=of, n=n,
                          n_expected=n, protocol="alpaca_eval@1", arm=arm, iteration=iteration)  # fmt: skip


def _demo_training(run: Path, arm: str, iteration: int, rng: np.random.Generator) -> None:
    base = run / arm / f"iter-{iteration}"
    measures = {"chosen_gap": -0.1 * iteration, "rejected_gap": -0.3 * iteration}
    for kind, step, seconds in (("sample", "sample", 40.0), ("train", "policy", 60.0)):
        (base / step).mkdir(parents=True, exist_ok=True)
        shown = measures if kind == "sample" else {"loss": 0.5}
        write_stage(run, base / step, kind=kind, seconds=seconds, tokens=50_000, measures=shown,
                    cost_usd=0.02, peak_memory_gb=3.2)  # fmt: skip
    rows = [
        {"step": i, "loss": 25 / (1 + 0.1 * i) + rng.random(), "margin/pair": 0.01 * i,
         "accuracy/pair": 0.5 + 0.01 * i, "kl_to_ref": 0.001 * i}
        for i in range(1, 21)
    ]  # fmt: skip
    curve = base / "policy" / "curve.jsonl"
    curve.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def with_pairs(run: Path, arm: str = "sso") -> Path:
    """Adds one judged pair with what made it: contrast, generator's pair, both verdicts, quality."""
    at = {"arm": arm, "iteration": 1}
    judged = add_eval(run, "pair_accuracy", [1.0], ids=["q1/policy"], folder=".", stderr=None, **at)
    base = run / arm / "iter-1"
    row = {"id": "q1/policy", "query_id": "q1", "prompt": [{"role": "user", "content": "How do bees fly?"}],
           "chosen": "They fly quickly indeed", "rejected": "They fly slowly"}  # fmt: skip
    contrast = {
        "query": {"id": "q1", "text": "How do bees fly?"},
        "principle": {"features": ["Depth"], "good": "Be deep.", "bad": "Be shallow."},
        "original": {"text": "plain words", "tokens": 2},
    }
    made = {
        "query_id": "q1",
        "kind": "generator-good",
        "chosen": "from the generator",
        "rejected": "no",
    }
    quality = {"pair_id": "q1/policy", "chosen_logp": -1.25, "rejected_logp": -2.5}
    verdicts = [
        {"swapped": False, "state": "ok", "value": 1.2},
        {"swapped": True, "state": "ok", "value": 1.1},
    ]
    verdict = {"item_id": "q1/policy", "result": "agreed", "verdicts": verdicts}
    write_lines(base / "pairs" / "pairs.jsonl", row)
    write_lines(base / "pairs" / "contrasts.jsonl", contrast)
    write_lines(base / "pairs" / "quality.jsonl", quality)
    write_lines(base / "sample" / "generator_pairs.jsonl", made)
    write_lines(judged / "verdicts.jsonl", verdict)
    return run


def write_lines(path: Path, *rows: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
