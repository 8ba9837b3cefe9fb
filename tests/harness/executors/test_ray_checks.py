"""What is looked at before a run begins on a Ray cluster; each node that can't work is named."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.config import RunConfig, load_config
from harness.executors.ray_checks import (
    answers,
    check_devices,
    check_layout,
    check_nodes,
    look_around,
)


def config(*overrides: str) -> RunConfig:
    return load_config("quickstart", ["model=m", *overrides])


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


@pytest.mark.parametrize(
    ("overrides", "resources", "words"),
    [
        (["launch.nodes=2"], [{"CPU": 4}], "launch.nodes is 2, but the Ray cluster has 1 node"),
        (["launch.devices=4"], [{"CPU": 2}, {"CPU": 1}], "4, but the largest node has 2 CPUs"),
        (["launch.nodes=2", "launch.devices=2"], [{"CPU": 2}, {"CPU": 1}], "2 nodes have only 1 CPUs"),
        (["launch.nodes=2", "launch.devices=8"], [{"GPU": 8}, {"GPU": 4}], "2 nodes have only 4 GPUs"),
    ],
)  # fmt: skip
def test_processes_that_could_never_be_placed(
    overrides: list[str], resources: list[dict[str, int]], words: str
) -> None:
    nodes = [{"Resources": found} for found in resources]
    with pytest.raises(UserError, match=words):
        check_layout(config(*overrides), nodes)
    check_layout(config("launch.nodes=2"), [{"Resources": {"CPU": 1}}] * 2)
    check_layout(config("launch.nodes=2", "launch.command=srun {program}"), nodes[:1])


def test_whether_a_head_node_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert answers(address, 0.1)
    assert not answers(address, 0.1)


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
