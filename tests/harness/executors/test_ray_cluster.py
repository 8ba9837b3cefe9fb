"""What a stage takes of a Ray cluster."""

from __future__ import annotations

import sys

import pytest

from groundwork.errors import UserError
from harness.config import RunConfig, load_config
from harness.executors.ray_cluster import (
    import_ray,
    signals_through,
    with_devices,
)
from harness.executors.ray_task import with_ranks


def config(*overrides: str) -> RunConfig:
    return load_config("quickstart", ["model=m", *overrides])


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


def test_a_signal_during_a_call_of_ray_comes_through() -> None:
    with pytest.raises(KeyboardInterrupt), signals_through():
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()
    with pytest.raises(SystemError, match="own"), signals_through():
        raise SystemError("its own")


def test_ray_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'sso-bench\[ray\]'"):
        import_ray()
