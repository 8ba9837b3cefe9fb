"""``sso-bench data``: what is listed, and what a folder that holds none of it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from groundwork.errors import UserError
from harness.cli.data import data
from harness.data.manifest import manifest


def test_the_list_names_every_file_and_whether_it_is_here(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test.jsonl").write_text("{}\n")
    done = CliRunner().invoke(data, ["list", "--to", str(tmp_path)])
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.output.splitlines() if line.strip()}
    assert {file.path for file in manifest()} <= set(lines)
    assert " yes " in lines["gsm8k/test.jsonl"]
    assert str(tmp_path) in done.output


def test_a_folder_without_any_of_the_files_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(data, ["verify", str(tmp_path)])
    assert isinstance(done.exception, UserError)
    assert "has no file of the manifest (sso-bench data list)" in str(done.exception)
    assert "0 right, 0 wrong" in done.output


def test_an_unknown_set_names_the_nearest(tmp_path: Path) -> None:
    done = CliRunner().invoke(data, ["get", "gsm8", "--to", str(tmp_path)])
    with pytest.raises(UserError, match="did you mean 'gsm8k'"):
        raise done.exception or AssertionError
