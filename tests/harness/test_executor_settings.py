"""Where stages work: kinds and numbers of workers that exist."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.config import load_config
from harness.executor_settings import ExecutorSettings
from harness.experiment import default_out


def test_one_stage_after_another_by_default() -> None:
    assert (ExecutorSettings().kind, ExecutorSettings().workers) == ("local", 1)


@pytest.mark.parametrize("wrong", [{"kind": "slurm"}, {"workers": 0}, {"workers": 257}])
def test_what_does_not_exist_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ExecutorSettings(**wrong)  # type: ignore[arg-type]


def test_where_stages_work_does_not_change_the_runs_folder() -> None:
    preset = load_config("quickstart")
    several = load_config("quickstart", ["executor.workers=4", "executor.kind=ray"])
    assert default_out(several, preset) == default_out(preset, preset)
