"""A job comes back from its file as it was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from groundwork.stage_result import StageResult
from sso.launch.job import PROGRESS, Job, read_examples, read_job, read_result, write_result
from sso.objectives import Objective
from sso.settings import LoraSettings, MethodSettings, TrainingSettings
from tests.sso.training_examples import make_groups


def test_job_examples_and_result_come_back(tmp_path: Path) -> None:
    settings = MethodSettings(training=TrainingSettings(lora=LoraSettings(rank=3)))
    objective = Objective("joint", use_w=False)
    job = Job(Path("/m"), objective, settings, Path("/out"), tmp_path, 5, True, False)
    (tmp_path / PROGRESS).write_text("[1, 2]")
    file = job.write(make_groups(3))
    assert read_job(file) == job
    assert read_examples(tmp_path) == make_groups(3)
    assert not (tmp_path / PROGRESS).exists(), "of an earlier start"
    result = StageResult({"steps": 3}, {"loss": 0.5}, 70, notes=("one", "two"))
    write_result(tmp_path, result)
    assert read_result(tmp_path) == result
    assert replace(job, seed=6) != job
