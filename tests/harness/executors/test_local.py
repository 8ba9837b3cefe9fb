"""Workers of one machine: devices shared out, a stage's failure and a worker's death as outcomes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.config import load_config
from harness.executors.local import LocalWorkers, shared_out
from harness.executors.order import Order
from harness.run_folder import RunFolder
from harness.stage import Source, Stage, StageResult
from tests.harness.executors.test_order import order_of


def stage(name: str, **inputs: Source) -> Stage:
    return Stage(name, "eval", inputs, {}, lambda run: StageResult())


def test_gpus_are_shared_out_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    shares = [env["CUDA_VISIBLE_DEVICES"] for env in shared_out(3)]
    assert shares == ["0,1", "2,3", "4,5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    assert [env["CUDA_VISIBLE_DEVICES"] for env in shared_out(2)] == ["6", "7"]
    with pytest.raises(UserError, match="3 workers, but 2 GPUs are visible: --workers 2"):
        shared_out(3)


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert shared_out(2) == [{"OMP_NUM_THREADS": "4"}] * 2
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert shared_out(2) == [{"OMP_NUM_THREADS": "1"}] * 2


def test_a_killed_worker_fails_its_stage_and_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    order = order_of(tmp_path / "absent", tmp_path / "run")
    RunFolder(order.root).describe({"config": json.loads(order.config)})
    workers = LocalWorkers(order, 2, said.append)
    try:
        workers.submit(stage("a", model=Source("m")))
        process = workers._workers[0]._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        (outcome,) = workers.wait(60)
        assert outcome.state == "failed"
        assert "its worker was killed by SIGKILL" in outcome.error
        workers.submit(stage("b"))
        (outcome,) = workers.wait(60)
        assert (outcome.stage, outcome.state) == ("b", "failed")
        assert "absent" in outcome.error
    finally:
        workers.close()
    assert not (tmp_path / "run" / ".workers").exists()


def test_a_stage_goes_to_the_worker_that_has_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = LocalWorkers.__new__(LocalWorkers)
    workers._without = None
    begun: list[tuple[int, str]] = []

    class Worker:
        def __init__(self, number: int) -> None:
            self.number, self.stage, self.model = number, None, None

        def begin(self, stage: Stage, wanted: str | None, model: str | None) -> None:
            begun.append((self.number, stage.id))
            self.model = model  # type: ignore[assignment]

    workers._workers = [Worker(1), Worker(2)]  # type: ignore[list-item]
    for name, model in (("a", "m1"), ("b", "m2"), ("c", "m1"), ("d", "m2")):
        workers.submit(stage(name, model=Source(model, "model")))
    assert begun == [(1, "a"), (2, "b"), (1, "c"), (2, "d")]


def test_a_stage_without_gpus_does_not_wait_for_those_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    begun: list[tuple[int, str]] = []

    def begin(worker: Any, stage: Stage, wanted: str | None, model: str | None) -> None:
        worker.stage = stage.id
        begun.append((workers._all().index(worker), stage.id))

    monkeypatch.setattr("harness.executors.local._Worker.begin", begin)
    config = load_config("quickstart", ["model=m", "engine.kind=hf", "judge.name=gpt-4.1"])
    order = Order(tmp_path, config.model_dump_json(), tmp_path)
    workers = LocalWorkers(order, 2, lambda text: None)
    judging = [Stage(f"pairs-{n}", "judge", {}, {}, lambda run: StageResult()) for n in range(3)]
    for one in (stage("a"), judging[0], stage("b")):
        assert workers.room(one)
        workers.submit(one)
    assert begun == [(0, "a"), (2, "pairs-0"), (1, "b")]
    assert not workers.room(judging[1])
    workers._workers[0].stage = None
    assert workers.room(judging[1])  # rather than leave a worker idle
    assert workers._all()[2]._environment == {}
