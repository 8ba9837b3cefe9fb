"""Imported results as run folders: what tables and comparisons find in them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.data.sources import DataSource
from harness.imports import import_results
from leaderboards import render_table
from leaderboards.runs import read_items, read_run

NO_DATA = DataSource("dir", Path())


def results(folder: Path, *models: str, value: float = 0.5) -> Path:
    folder.mkdir(exist_ok=True)
    for model in models:
        raw = {
            "results": {"gsm8k": {"exact_match,strict-match": value}, "arc": {"acc,none": 0.25}},
            "n-samples": {name: {"original": 9, "effective": 9} for name in ("gsm8k", "arc")},
            "model_name": model,
        }
        (folder / f"results_{model.replace('/', '_')}.json").write_text(json.dumps(raw))
        rows = [{"doc_id": k, "metrics": ["acc"], "acc": k % 2} for k in range(9)]
        samples = folder / f"samples_arc_{model.replace('/', '_')}.jsonl"
        samples.write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_one_model_is_one_run_that_tables_read(tmp_path: Path) -> None:
    out = tmp_path / "run"
    folder = results(tmp_path / "in", "org/a")
    assert import_results("lm-eval", [folder], out, NO_DATA) == [out]
    run = read_run(out)
    assert (run.model, run.info["imported_from"]) == ("org/a", "lm-eval")
    assert {score.benchmark for found in run.evaluations for score in found.scores} == {
        "gsm8k",
        "arc",
    }
    assert len(read_items(out / "base/eval/arc")) == 9
    table = render_table([out], format="md")
    assert "50.0" in table
    assert "arc" in table
    assert "imported: prompts and grading of lm-eval" in table


def test_several_models_are_runs_below_one_folder(tmp_path: Path) -> None:
    folder = results(tmp_path / "in", "org/a", "other/a")
    folders = import_results("lm-eval", [folder], tmp_path / "runs", NO_DATA)
    assert [f.name for f in folders] == ["org-a", "other-a"]
    table = render_table([tmp_path / "runs"], format="md")
    assert "org/a" in table
    assert "other/a" in table
    (only,) = import_results("lm-eval", [folder], tmp_path / "one", NO_DATA, "org/a")
    assert read_run(only).model == "org/a"


def test_refusals_write_nothing(tmp_path: Path) -> None:
    folder = results(tmp_path / "in", "org/a")
    again = results(tmp_path / "again", "org/a", value=0.6)
    out = tmp_path / "run"
    refused = [
        (("lmeval", [folder], out, NO_DATA), "did you mean 'lm-eval'"),
        (("lm-eval", [tmp_path / "no"], out, NO_DATA), "no such file or folder"),
        (("lm-eval", [folder], out, NO_DATA, "org/b"), "did you mean 'org/a'"),
        (("lm-eval", [folder, again], out, NO_DATA), "name one of them"),
        (("lm-eval", [folder], folder, NO_DATA), "exists: choose another --out"),
    ]
    for arguments, match in refused:
        with pytest.raises(UserError, match=match):
            import_results(*arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "in"]
