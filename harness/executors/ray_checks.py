"""What the nodes of a Ray cluster must have before a run begins, each error in one line."""

from __future__ import annotations

import socket
import time
import uuid
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from harness.config import RunConfig
from harness.engines import engine_identity
from harness.run_folder import CLAIMS
from harness.stage_runner import package_versions


def check_devices(config: RunConfig, gpus: int) -> None:
    """Raises ``UserError`` where no node has the GPUs that a stage needs, or ``auto`` means something else on the nodes
    that have GPUs than here, where the plan is made."""
    asked = {
        "launch.devices": 0 if config.launch.devices == "auto" else int(config.launch.devices),
        "engine.tensor_parallel": config.engine.tensor_parallel,
    }
    for key, value in asked.items():
        if gpus and value > gpus:
            raise UserError(f"{key} is {value}, but the largest node has {gpus} GPUs")
    engine = config.engine
    undecided = "auto" in (engine.kind, engine.dtype) and engine.kind not in ("fake", "openai")
    if gpus and undecided and not engine.device.startswith("cpu") and not _gpu_here():
        here = ", ".join(engine_identity(engine).values())
        raise UserError(
            f"engine auto is {here} on this node, which has no GPU, and another on nodes with GPUs: give --engine vllm "
            "--set engine.dtype=bf16"
        )


def check_layout(config: RunConfig, nodes: list[dict[str, Any]]) -> None:
    """Raises ``UserError`` where a training's processes could never be placed: fewer nodes than ``launch.nodes``, or,
    on a cluster without GPUs, fewer cores on all of them than ``launch.devices``."""
    launch = config.launch
    if launch.command:
        return  # what starts them has its own machines
    if launch.nodes > len(nodes):
        has = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
        raise UserError(
            f"launch.nodes is {launch.nodes}, but the Ray cluster has {has}: launch.nodes={len(nodes)}"
        )
    devices = 1 if launch.devices == "auto" else int(launch.devices)
    kind = "GPU" if any(node["Resources"].get("GPU") for node in nodes) else "CPU"
    counts = sorted((int(node["Resources"].get(kind, 0)) for node in nodes), reverse=True)
    most = counts[launch.nodes - 1]
    if devices > most:
        where = "the largest node has" if launch.nodes == 1 else f"{launch.nodes} nodes have only"
        raise UserError(f"launch.devices is {devices}, but {where} {most} {kind}s")


def answers(address: str, patience: float) -> bool:
    """Whether something listens at HOST:PORT within so many seconds."""
    host, _, port = address.rpartition(":")
    until = time.monotonic() + patience
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=patience):
                return True
        except OSError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.5)


def _gpu_here() -> bool:
    import torch

    return torch.cuda.is_available()


def check_nodes(ray: Any, nodes: list[dict[str, Any]], root: Path, model: str) -> None:
    """Have every node read a token in the run folder and write an answer beside it.

    Raises:
        UserError: a node that does not see the run folder or the model's, or has other package versions (named).
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = root / CLAIMS / f"token-{uuid.uuid4().hex}"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.write_text(token.name)
    folder = str(Path(model).absolute()) if Path(model).is_dir() else ""
    look = ray.remote(look_around)
    asked = [
        look.options(
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        ).remote(token, folder, number)
        for number, node in enumerate(nodes)
    ]
    try:
        for number, (found, node) in enumerate(zip(ray.get(asked), nodes, strict=True)):
            name = node["NodeManagerHostname"]
            answer = token.with_name(f"{token.name}.{number}")
            if not found["folder"] or not answer.is_file():
                raise UserError(
                    f"node {name} does not see {root}: put --out on a file system that all nodes share"
                )
            answer.unlink()
            if not found["model"]:
                raise UserError(f"node {name} has no model folder {folder}")
            if found["versions"] != package_versions():
                raise UserError(f"node {name} has other package versions: {_differences(found)}")
    except ray.exceptions.RayError as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"a node of the Ray cluster can't run sso-bench: {words[-1]}") from error
    finally:
        for file in token.parent.glob(f"{token.name}*"):
            file.unlink(missing_ok=True)


def look_around(token: Path, model: str, number: int) -> dict[str, Any]:
    """What a node sees, and an answer beside the token."""
    seen = token.is_file() and token.read_text() == token.name
    if seen:
        token.with_name(f"{token.name}.{number}").write_text("seen")
    there = not model or Path(model).is_dir()
    return {"folder": seen, "model": there, "versions": package_versions()}


def _differences(found: dict[str, Any]) -> str:
    theirs, ours = found["versions"], package_versions()
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    return ", ".join(
        f"{n} {theirs.get(n, 'is missing')} (here: {ours.get(n, 'none')})" for n in names[:4]
    )
