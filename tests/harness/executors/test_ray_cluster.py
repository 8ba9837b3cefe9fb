"""What a stage takes of a Ray cluster, what a node must have, and a run over two nodes (slow)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.config import RunConfig, load_config
from harness.executors.ray_cluster import (
    News,
    check_devices,
    check_nodes,
    import_ray,
    look_around,
    needs,
    signals_through,
    with_devices,
    with_ranks,
)
from harness.stage import Stage, StageKind, StageResult


def config(*overrides: str) -> RunConfig:
    return load_config("quickstart", ["model=m", *overrides])


def stage(kind: StageKind) -> Stage:
    return Stage("s", kind, {}, {}, lambda run: StageResult())


@pytest.mark.parametrize(
    ("kind", "overrides", "gpus", "expected"),
    [
        ("train", [], 8, (8, 8)),
        ("train", ["launch.devices=2"], 8, (2, 2)),
        ("train", ["launch.devices=2"], 0, (2, 0)),
        ("train", ["launch.nodes=2"], 8, (0, 0)),
        ("sample", ["engine.kind=vllm"], 8, (1, 8)),
        ("eval", ["engine.kind=vllm", "engine.data_parallel=1"], 8, (1, 1)),
        ("eval", ["engine.kind=vllm", "engine.data_parallel=2", "engine.tensor_parallel=2"], 8, (1, 4)),
        ("eval", ["engine.kind=hf"], 8, (1, 1)),
        ("eval", ["engine.kind=openai"], 8, (1, 0)),
        ("eval", [], 0, (1, 0)),
        ("judge", ["engine.kind=hf", "judge.name=gpt-4.1"], 8, (1, 0)),
        ("judge", ["engine.kind=hf", "judge.name=local"], 8, (1, 1)),
        ("data", [], 8, (1, 0)),
    ],
)  # fmt: skip
def test_what_a_stage_takes(
    kind: StageKind, overrides: list[str], gpus: int, expected: tuple[int, int]
) -> None:
    assert needs(stage(kind), config(*overrides), gpus) == expected


def test_a_training_over_nodes_gets_a_command_and_what_auto_cannot_see() -> None:
    one = config()
    assert with_devices(one, 8) == one
    assert with_ranks(one.model_dump_json()) == one.model_dump_json()
    launch = with_devices(config("launch.nodes=2"), 8).launch
    assert (launch.devices, launch.strategy) == (8, "fsdp")
    launch = with_devices(config("launch.nodes=2", "training.lora.rank=8"), 8).launch
    assert launch.strategy == "auto"
    launch = with_devices(config("launch.nodes=2"), 0).launch
    assert (launch.devices, launch.strategy) == (1, "auto")
    command = RunConfig.model_validate_json(
        with_ranks(config("launch.nodes=2").model_dump_json())
    ).launch.command
    assert command.format(nodes=2, devices=4, program="python x") == (
        f"{sys.executable} -m sso.launch.ray_ranks 2 4 python x"
    )


def test_fewer_devices_than_asked_for() -> None:
    check_devices(config("launch.devices=8"), 8)
    check_devices(config("launch.devices=8"), 0)
    with pytest.raises(UserError, match=r"launch.devices is 8, but the largest node has 4 GPUs"):
        check_devices(config("launch.devices=8"), 4)


def test_auto_that_means_another_engine_on_the_nodes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    auto = ("engine.device=auto", "engine.dtype=auto")
    check_devices(config("engine.kind=vllm", *auto), 0)
    check_devices(config("engine.kind=openai", *auto), 8)
    check_devices(config("engine.kind=vllm", "engine.device=auto", "engine.dtype=bf16"), 8)
    with pytest.raises(UserError, match="engine auto is hf, fp32 on this node"):
        check_devices(config("engine.kind=auto", *auto), 8)
    with pytest.raises(UserError, match="engine auto is hf, bf16 on this node"):
        check_devices(config("engine.kind=auto", "engine.device=auto", "engine.dtype=bf16"), 8)
    with pytest.raises(UserError, match="engine auto is vllm, fp32 on this node"):
        check_devices(config("engine.kind=vllm", *auto), 8)


def test_what_a_node_sees(tmp_path: Path) -> None:
    token = tmp_path / "token"
    assert look_around(token, "", 0)["folder"] is False
    token.write_text("token")
    found = look_around(token, str(tmp_path / "absent"), 1)
    assert (found["folder"], found["model"]) == (True, False)
    assert (tmp_path / "token.1").read_text() == "seen"
    assert found["versions"]["torch"]


def test_a_signal_during_a_call_of_ray_comes_through() -> None:
    with pytest.raises(KeyboardInterrupt), signals_through():
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()
    with pytest.raises(SystemError, match="own"), signals_through():
        raise SystemError("its own")


def test_news_are_taken_once() -> None:
    news = News()
    news.say("a")
    assert (news.take(), news.take()) == (["a"], [])


def test_ray_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'sso-bench\[ray\]'"):
        import_ray()


class Nodes:
    """Stands in for ``ray``: each node runs what it is asked in this process, after ``seen`` changed the answer."""

    class exceptions:  # noqa: N801 (as in ray)
        RayError = RuntimeError

    def __init__(self, seen: Callable[..., Any]) -> None:
        self.seen = seen

    def remote(self, function: Any) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.seen))

    def get(self, asked: list[Any]) -> list[Any]:
        return asked


def elsewhere(token: Path, model: str, number: int) -> dict[str, Any]:
    return look_around(token.parent / "another" / token.name, model, number)


def other_versions(token: Path, model: str, number: int) -> dict[str, Any]:
    found = look_around(token, model, number)
    return {**found, "versions": {**found["versions"], "torch": "1.0"}}


def without_model(token: Path, model: str, number: int) -> dict[str, Any]:
    return look_around(token, f"{model}/absent", number)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (elsewhere, "node n1 does not see .*/run: put --out on a file system that all nodes share"),
        (other_versions, r"node n1 has other package versions: torch 1\.0 \(here: "),
        (without_model, "node n1 has no model folder "),
    ],
)
def test_nodes_that_cannot_work_are_named(
    tmp_path: Path, seen: Callable[..., Any], words: str
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'sso-bench[ray]'")
    nodes = [{"NodeID": "0" * 56, "NodeManagerHostname": "n1"}]
    check_nodes(Nodes(look_around), nodes, tmp_path / "run", str(tmp_path))
    with pytest.raises(UserError, match=words):
        check_nodes(Nodes(seen), nodes, tmp_path / "run", str(tmp_path))
    assert list((tmp_path / "run" / ".claims").iterdir()) == []
