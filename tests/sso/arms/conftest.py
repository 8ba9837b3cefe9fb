"""Fixtures of the arms' tests: training recorded instead of run, a folder loop with a preference set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundwork.stage_result import StageResult
from sso.training import TrainingRun
from tests.sso.arm_loop import Loop


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Training replaced by a record of what it was asked."""
    asked: list[dict[str, Any]] = []

    def train(
        model: Path, examples: Any, objective: Any, settings: Any, run: TrainingRun
    ) -> StageResult:
        asked.append(
            {"model": model, "groups": list(examples), "objective": objective, **vars(run)}
        )
        run.out.mkdir(parents=True)
        return StageResult({"groups": len(examples)}, {"loss": 1.0}, 7)

    monkeypatch.setattr("sso.arms.steps.train", train)
    return asked


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    folder = tmp_path / "preferences"
    folder.mkdir()
    rows = [
        {"id": f"r{i}", "prompt": f"text {i}", "chosen": f"yes {i}", "rejected": f"no {i}"}
        for i in range(3)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "preferences.jsonl").write_text(text, encoding="utf-8")
    return Loop(tmp_path, tmp_path / "base")
