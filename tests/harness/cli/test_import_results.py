"""``sso-bench import``: run folders and their table, and what is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from groundwork.errors import UserError
from harness.cli.main import application
from tests.harness.imports.test_run_folder import results


def test_a_folder_of_lm_eval_becomes_a_run_with_its_table(tmp_path: Path) -> None:
    folder, out = results(tmp_path / "in", "org/a"), tmp_path / "run"
    done = CliRunner().invoke(application(), ["import", "lm-eval", str(folder), "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert (out / "run.json").is_file()
    assert "GSM8K" in done.output
    assert "50.0" in done.output
    assert "Run folder:" in done.output


def test_what_is_wrong_is_said_before_anything_is_written(tmp_path: Path) -> None:
    folder, out = results(tmp_path / "in", "org/a"), tmp_path / "run"
    for words, expected in (
        (["lm-evl", str(folder)], "did you mean 'lm-eval'"),
        (["lm-eval", str(tmp_path / "none")], "no such file or folder"),
        (["lm-eval", str(folder), "--model", "org/b"], "did you mean 'org/a'"),
    ):
        done = CliRunner().invoke(application(), ["import", *words, "-o", str(out)])
        assert isinstance(done.exception, UserError)
        assert expected in str(done.exception)
    assert not out.exists()
