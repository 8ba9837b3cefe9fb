"""Options that several commands share, and how they become a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.config import RunConfig

Preset = Annotated[str, typer.Option("--preset", "-p", help="Shipped preset or a YAML file.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Hub id or local folder.")]
Data = Annotated[str | None, typer.Option("--data", help="sample, hub, or a data folder.")]
Judge = Annotated[
    str | None,
    typer.Option("--judge", help="local, or a model of an OpenAI-compatible server."),
]
JudgeUrl = Annotated[
    str | None, typer.Option("--judge-url", help="Base URL of the judge's server.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Run folder (default runs/NAME).")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything that is drawn.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override any key: --set loss.kind=dpo (repeatable)."),
]
Methods = Annotated[
    str | None, typer.Option("--methods", help="Arms, comma-separated: sso,pbaa,ultrafeedback.")
]
Iterations = Annotated[
    int | None, typer.Option("--iters", "-n", help="Training iterations of each arm.")
]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", help="Most to spend on the judge, US dollars.")
]
Engine = Annotated[
    str | None, typer.Option("--engine", help="auto, hf, vllm or openai (text generation).")
]
Benchmarks = Annotated[
    str | None,
    typer.Option(
        "--benchmarks", "-b", help="Which, comma-separated; NAME/PROTOCOL picks the protocol."
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", help="Items of each benchmark (seeded, stratified).")
]
Principles = Annotated[
    str | None,
    typer.Option("--principles", help="YAML file of features, principles and examples."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result, no progress.")]


def flags(
    *,
    model: str | None = None,
    data: str | None = None,
    judge: str | None = None,
    judge_url: str | None = None,
    seed: int | None = None,
    methods: str | None = None,
    iterations: int | None = None,
    max_cost: float | None = None,
    engine: str | None = None,
    principles: str | None = None,
) -> dict[str, Any]:
    """Command-line flags as a nested configuration mapping; flags not given are left out."""
    found: dict[str, Any] = {}
    judging = {"name": judge, "base_url": judge_url, "max_cost": max_cost}
    judging = {key: value for key, value in judging.items() if value is not None}
    for key, value in {
        "model": model,
        "data": data,
        "iterations": iterations,
        "seeds": [seed] if seed is not None else None,
        "methods": split_names(methods) if methods is not None else None,
        "judge": judging or None,
        "engine": {"kind": engine} if engine is not None else None,
        "principles": {"file": principles} if principles is not None else None,
    }.items():
        if value is not None:
            found[key] = value
    return found


def split_names(text: str) -> list[str]:
    """``a,b, c`` as names, each once, in order."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def select_benchmarks(config: RunConfig, benchmarks: str | None, limit: int | None) -> RunConfig:
    """The configuration with only the named benchmarks (all if not given) and their limit."""
    from harness.config import BenchmarkSettings, RunConfig

    chosen = dict(config.benchmarks)
    if benchmarks is not None:
        chosen = {}
        for entry in split_names(benchmarks):
            name, _, protocol = entry.partition("/")
            settings = config.benchmarks.get(name, BenchmarkSettings())
            chosen[name] = (
                settings.model_copy(update={"protocol": protocol}) if protocol else settings
            )
    changes = {"limit": limit} if limit is not None else {}
    settled = {name: {**value.model_dump(), **changes} for name, value in chosen.items()}
    return RunConfig.model_validate({**config.model_dump(), "benchmarks": settled})
