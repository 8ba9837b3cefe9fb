"""One process, two or four, with copies or shards of the model, train to the same weights (gloo)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file

from sso.step_math import training_order
from tests.conftest import REPO
from tests.sso.distributed_training import CASES

LAUNCH = REPO / "sso" / "launch"
FEW = ["joint-ipo", "generator-dpo", "lora-checkpointed", "one-bin"]


def train_cases(
    model: Path, folder: Path, processes: int, layout: str, cases: Sequence[str] = ()
) -> Path:
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    environment["ACCELERATE_USE_CPU"] = "true"
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    launcher = torchrun if processes > 1 else []
    command = [sys.executable, "-m", *launcher, "tests.sso.distributed_training"]
    command += [str(model), str(folder), layout, *cases]
    done = subprocess.run(
        command, env=environment, cwd=REPO, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def check_equal(one: Path, other: Path, model: Path, processes: int) -> None:
    before = load_file(model / "model.safetensors")
    for case in [path.name for path in one.iterdir()]:
        ours, theirs = (load_file(f / case / "model" / "model.safetensors") for f in (one, other))
        assert ours.keys() == theirs.keys(), case
        assert before.keys() - ours.keys() <= {"lm_head.weight"}, (
            f"{case}: only tied weights are left out"
        )
        moved = max(float((ours[k] - before[k]).abs().max()) for k in ours)
        assert moved > 1e-4, case
        apart = max(float((ours[k] - theirs[k]).abs().max()) for k in ours)
        assert apart < 1e-5, f"{case}: weights differ by {apart:.1e}"
        expected = json.loads((one / case / "report-0.json").read_text())
        for rank in range(processes):
            found = json.loads((other / case / f"report-{rank}.json").read_text())
            assert found["counts"] == expected["counts"], case
            assert found["whole_gradients"] == 0, f"{case}: a sharded process kept whole gradients"
            assert found["tokens"] == expected["tokens"], case
            for name in ("loss", "final_loss", "kl_to_ref", "grad_norm"):
                value = expected["measures"][name]
                assert found["measures"][name] == pytest.approx(value, rel=1e-5, abs=1e-5), name
            assert found["notes"] == expected["notes"], case


def test_two_processes_equal_one_with_copies_and_shards(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    one = train_cases(tiny_model_dir, tmp_path / "one", 1, "copies", FEW)
    for layout in ("copies", "sharded"):
        two = train_cases(tiny_model_dir, tmp_path / layout, 2, layout, FEW)
        check_equal(one, two, tiny_model_dir, 2)
        assert sorted(p.name for p in two.iterdir()) == sorted(p.name for p in one.iterdir())


@pytest.mark.slow
def test_every_objective_and_option_on_one_two_and_four_processes(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    one = train_cases(tiny_model_dir, tmp_path / "one", 1, "copies")
    assert {path.name for path in one.iterdir()} == set(CASES)
    for processes, layout in ((2, "copies"), (2, "sharded"), (4, "sharded")):
        many = train_cases(tiny_model_dir, tmp_path / f"{layout}-{processes}", processes, layout)
        check_equal(one, many, tiny_model_dir, processes)


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
