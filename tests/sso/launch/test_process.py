"""One process of a training: how it ended stands beside the job, in words for the user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sso.launch.job import Job
from sso.objectives import Objective
from sso.settings import LossSettings, MethodSettings, TrainingSettings
from tests.sso.training_examples import make_groups


@pytest.mark.parametrize(
    ("harm", "kind", "expected"),
    [
        ("no such tracker", "user", "training settings"),
        ("no job", "error", "JSONDecodeError"),
    ],
)
def test_what_went_wrong_is_written_down(
    harm: str, kind: str, expected: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    settings = MethodSettings(loss=LossSettings(), training=TrainingSettings(report_to=("nobody",)))
    job = Job(tiny_model_dir, Objective("pair"), settings, tmp_path / "out", work, 0, False, False)
    file = job.write(make_groups(2))
    if harm == "no job":
        file.write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "sso.launch.process", str(file)],
        env={**os.environ, "RANK": "0", "WORLD_SIZE": "1"},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
    )
    report = json.loads((work / "rank-0.json").read_text())
    assert (done.returncode, done.stdout, done.stderr) == (1, "", ""), "its words are in its log"
    assert (report["rank"], report["kind"]) == (0, kind)
    assert expected in report["error"]
    assert "\n" not in report["error"]
    assert "Traceback" in (work / "rank-0.log").read_text()
    assert not (work / "result.json").exists()
