"""Two processes (gloo) train to what one process trains to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from sso.step_math import share_of_rank, training_order
from tests.conftest import REPO

LAUNCH = REPO / "sso" / "launch"


def _train(model: Path, folder: Path, launcher: list[str], micro_tokens: int) -> None:
    folder.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    environment["ACCELERATE_USE_CPU"] = "true"
    command = [sys.executable, "-m", *launcher, "tests.sso.distributed_training"]
    command += [str(model), str(folder), str(micro_tokens)]
    done = subprocess.run(
        command, env=environment, cwd=REPO, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize("micro_tokens", [300])
def test_two_processes_equal_one(tiny_model_dir: Path, tmp_path: Path, micro_tokens: int) -> None:
    launcher = ["torch.distributed.run", "--nproc_per_node", "2", "--master_port", _free_port()]
    launcher += ["-m"]
    _train(tiny_model_dir, tmp_path / "one", [], micro_tokens)
    _train(tiny_model_dir, tmp_path / "two", launcher, micro_tokens)
    one = load_file(tmp_path / "one" / "model" / "model.safetensors")
    two = load_file(tmp_path / "two" / "model" / "model.safetensors")
    before = load_file(tiny_model_dir / "model.safetensors")
    largest = max(float((one[k] - before[k]).abs().max()) for k in one)
    assert largest > 1e-3
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 0.02 * largest
    reports = [
        json.loads((tmp_path / f).read_text())
        for f in ("one/report-0.json", "two/report-0.json", "two/report-1.json")
    ]
    for other in reports[1:]:
        assert other["counts"] == reports[0]["counts"]
        assert other["tokens"] == reports[0]["tokens"]
        for name in ("loss", "margin/policy", "kl_to_ref", "grad_norm"):
            expected = reports[0]["measures"][name]
            assert other["measures"][name] == pytest.approx(expected, rel=2e-3, abs=1e-5), name


def test_every_rank_gets_as_many_bins() -> None:
    bins = [["a"], ["b"], ["c"]]
    first, second = (share_of_rank(bins, rank, 2) for rank in range(2))  # type: ignore[arg-type]
    assert first == [(["a"], 1.0), (["c"], 1.0)]
    assert second == [(["b"], 1.0), (["c"], 0.0)], "filled up with a weight of nothing"


def test_order_is_seeded_and_covers_every_epoch() -> None:
    order = training_order(5, 2.0, 2, seed=1)
    assert [len(batch) for batch in order] == [2, 2, 1, 2, 2, 1]
    assert sorted(i for batch in order[:3] for i in batch) == [0, 1, 2, 3, 4]
    assert order == training_order(5, 2.0, 2, seed=1)
    assert order != training_order(5, 2.0, 2, seed=2)
    assert sum(map(len, training_order(10, 0.5, 4, seed=1))) == 5


@pytest.mark.parametrize("name", ["fsdp", "zero2", "zero3"])
def test_shipped_launch_files_are_valid(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(LAUNCH / f"{name}.yaml"))
    expected = "FSDP" if name == "fsdp" else "DEEPSPEED"
    assert str(config.distributed_type).endswith(expected)
    plugin = getattr(config, "deepspeed_config", None) or {}
    # more would divide the loss a second time: the trainer accumulates inside a step
    assert plugin.get("gradient_accumulation_steps", 1) == 1
