"""A training in processes of its own: the same result, and the words of the process that failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from groundwork.errors import UserError
from sso.launch import Layout, launch
from sso.launch.launch import command_of, failure
from sso.settings import LaunchSettings, LossSettings, MethodSettings, TrainingSettings
from sso.training import TrainingRun, train
from tests.conftest import REPO
from tests.sso.training_examples import make_groups


def settings(**training: Any) -> MethodSettings:
    base = {"learning_rate": 1e-4, "batch_size": 4, "micro_tokens": 300, "report_to": ()}
    return MethodSettings(
        loss=LossSettings(kind="dpo"), training=TrainingSettings(**{**base, **training})
    )


def run_in(folder: Path, **options: Any) -> TrainingRun:
    return TrainingRun(folder / "model", folder / "work", seed=5, **options)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def apart(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return max(float((a[k] - b[k]).abs().max()) for k in a)


def test_one_process_of_its_own_trains_as_this_one_does(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    here = train(tiny_model_dir, make_groups(6), "generator", settings(), run_in(tmp_path / "here"))
    seen: list[tuple[int, int]] = []
    there = launch(
        tiny_model_dir,
        make_groups(6),
        "generator",
        settings(),
        run_in(tmp_path / "there", progress=lambda done, total: seen.append((done, total))),
    )
    assert apart(weights(tmp_path / "here"), weights(tmp_path / "there")) == 0
    assert there.counts == here.counts
    assert there.measures["loss"] == here.measures["loss"]
    assert seen[-1] == (12, 12)
    assert not torch.distributed.is_initialized()


def reports(folder: Path, **ends: tuple[str, str] | None) -> Path:
    for name, end in ends.items():
        rank = int(name.removeprefix("rank"))
        (folder / f"rank-{rank}.log").write_text(f"Loading\nlast line of {rank}\n")
        if end is not None:
            content = {"rank": rank, "kind": end[0], "error": end[1]}
            (folder / f"rank-{rank}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({"rank0": ("peer", "closed by peer"), "rank1": None}, "training process 1 of 2 was killed (out of memory?), after: last line of 1"),
        ({"rank0": ("user", "step 1: the loss is not finite"), "rank1": None}, "step 1: the loss is not finite"),
        ({"rank0": ("peer", "x"), "rank1": ("error", "KeyError: 'a'")}, "training process 1 of 2 failed: KeyError: 'a'"),
        ({"rank0": None, "rank1": ("memory", "CUDA out of memory")}, "training process 1 of 2 ran out of memory (CUDA out of memory): training.micro_tokens"),
        ({"rank0": None}, "the training was killed"),
    ],
)  # fmt: skip
def test_the_process_that_failed_by_itself_is_named(
    ends: dict[str, Any], said: str, tmp_path: Path
) -> None:
    text = failure(reports(tmp_path, **ends), Layout(len(ends)))
    assert text.startswith(said)
    assert text.endswith("the same command resumes it") or "not finite" in text


def test_a_process_that_could_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "launch.log").write_text("Traceback\nModuleNotFoundError: No module named 'x'\n")
    text = failure(tmp_path, Layout(1))
    assert text.startswith("the training could not start: ModuleNotFoundError: No module named 'x'")


def test_a_command_of_ones_own_starts_the_program() -> None:
    how = LaunchSettings(command="srun -N {nodes} -n {devices} {program}", nodes=2, devices=4)
    command = command_of(Path("/w/job.json"), Layout(4, 2), how)
    assert command[:5] == ["srun", "-N", "2", "-n", "4"]
    assert command[-2:] == ["sso.launch.process", "/w/job.json"]
    with pytest.raises(UserError, match=r"needs launch\.command, for example: srun"):
        command_of(Path("job.json"), Layout(4, 2), LaunchSettings(nodes=2))


def test_a_users_mistake_comes_back_word_for_word(tiny_model_dir: Path, tmp_path: Path) -> None:
    wrong = settings(report_to=("nowhere",))
    with pytest.raises(UserError, match=r"^training settings: nowhere"):
        launch(tiny_model_dir, make_groups(2), "pair", wrong, run_in(tmp_path))
    assert not (tmp_path / "model").exists()


LONG = {"epochs": 15, "checkpoint_every": 3}


def after_steps(work: Path, steps: int, act: Callable[[], None]) -> threading.Thread:
    """Acts once the curve has so many steps."""

    def watch() -> None:
        while not (curve := work / "curve.jsonl").is_file() or (
            len(curve.read_text().splitlines()) < steps
        ):
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def processes(job: Path, rank: str | None = None) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-2:] == ["sso.launch.process", str(job)] and (
                rank is None or process.environ().get("RANK") == rank
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


@pytest.mark.slow
def test_a_killed_process_is_named_and_one_process_goes_on_from_the_checkpoint_of_two(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    train(tiny_model_dir, make_groups(8), "joint", settings(**LONG), run_in(tmp_path / "whole"))
    work = tmp_path / "killed" / "work"

    def kill() -> None:
        for process in processes(work / "job.json", "1"):
            process.send_signal(signal.SIGKILL)

    two = LaunchSettings(devices=2, strategy="fsdp")
    killer = after_steps(work, 8, kill)
    arguments = (tiny_model_dir, make_groups(8), "joint", settings(**LONG))
    with pytest.raises(UserError, match="training process 1 of 2 was killed"):
        launch(*arguments, run_in(tmp_path / "killed"), two)
    killer.join()
    assert not processes(work / "job.json")
    steps = {int(p.name[11:]) for p in (work / "checkpoints").glob("checkpoint-*")}
    done: list[int] = []
    launch(*arguments, run_in(tmp_path / "killed", progress=lambda d, total: done.append(d)))
    assert done[0] > 8 + 4 * min(steps), "must go on, not start again"
    assert apart(weights(tmp_path / "whole"), weights(tmp_path / "killed")) < 1e-5


CALLER = """
import sys
from pathlib import Path
from sso.launch import launch
from sso.settings import LaunchSettings
from tests.sso.launch.test_launch import LONG, run_in, settings
from tests.sso.training_examples import make_groups
launch(Path(sys.argv[1]), make_groups(8), "joint", settings(**LONG), run_in(Path(sys.argv[2])), LaunchSettings(devices=2))
"""


@pytest.mark.slow
def test_the_processes_end_with_a_killed_caller_and_the_same_call_resumes(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    work = tmp_path / "killed" / "work"
    command = [sys.executable, "-c", CALLER, str(tiny_model_dir), str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    caller = subprocess.Popen(command, cwd=REPO, env=environment)
    after_steps(work, 8, lambda: caller.send_signal(signal.SIGKILL)).join()
    assert caller.wait() == -signal.SIGKILL
    end = time.monotonic() + 60
    while processes(work / "job.json") and time.monotonic() < end:
        time.sleep(0.1)
    assert not processes(work / "job.json")
    subprocess.run(command, cwd=REPO, env=environment, check=True)
    train(tiny_model_dir, make_groups(8), "joint", settings(**LONG), run_in(tmp_path / "whole"))
    assert apart(weights(tmp_path / "whole"), weights(tmp_path / "killed")) < 1e-5


def test_auto_trains_in_this_process_only_where_it_is_one_without_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StartedError(Exception):
        """A process was about to be started."""

    def start(*_: object) -> None:
        raise StartedError

    module = sys.modules[launch.__module__]
    monkeypatch.setattr(module, "GuardedProcess", start)
    monkeypatch.setattr("sso.reward_model.train_groups", lambda *_: "here")
    run = TrainingRun(tmp_path / "out", tmp_path / "work", 0)

    def launched(gpu: bool, **how: object) -> object:
        monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
        monkeypatch.setattr("torch.cuda.device_count", lambda: int(gpu))
        settings = LaunchSettings(own_process="auto", **how)  # type: ignore[arg-type]
        try:
            return launch(tmp_path, [], "pair", MethodSettings(), run, settings)
        except StartedError:
            return "process"

    assert launched(gpu=False) == "here"
    assert launched(gpu=True) == "process"
    assert launched(gpu=False, devices=2) == "process"
    assert launched(gpu=False, command="{program}") == "process"
