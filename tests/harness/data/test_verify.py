"""``data verify`` and the command line round it."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.main import application
from harness.data.verify import verify
from harness.errors import DataError
from tests.harness.data.data_server import Server, server

__all__ = ["server"]  # a fixture

RUNNER = CliRunner()


def test_the_real_data_are_what_the_manifest_says(data_dir: Path) -> None:
    checks = {check.path: check for check in verify(data_dir)}
    assert [c.problem for c in checks.values() if c.status == "bad"] == []
    whole = {path for path, c in checks.items() if (c.status, c.checksum) == ("ok", "manifest")}
    assert whole >= {
        "gsm8k/test.jsonl",
        "math/math_500.jsonl",
        "ifeval/input_data.jsonl",
        "alpaca_eval/gpt4_1106_preview_model_outputs.json",
        "mt_bench/question.jsonl",
        "mt_bench/judge_prompts.jsonl",
        "mt_bench/reference_answer/gpt-4.jsonl",
    }
    assert checks["mmlu_pro/test.jsonl"].status == "ok"


def test_a_gzipped_file_counts_by_its_contents(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    content = (data_dir / "gsm8k/test.jsonl").read_bytes()
    (tmp_path / "gsm8k/test.jsonl.gz").write_bytes(gzip.compress(content))
    (check,) = [c for c in verify(tmp_path) if c.status != "absent"]
    assert (check.path, check.status) == ("gsm8k/test.jsonl", "ok")


def test_one_changed_byte_is_found(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    shutil.copyfile(data_dir / "gsm8k/test.jsonl", tmp_path / "gsm8k/test.jsonl")
    path = tmp_path / "gsm8k/test.jsonl"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"Janet", b"Janes", 1))
    (check,) = [c for c in verify(tmp_path) if c.status == "bad"]
    assert f"{path}: wrong checksum" in check.problem


def rows(folder: Path, name: str, count: int, **row: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for _ in range(count)))
    return path


def test_each_problem_is_one_line_and_exit_is_not_zero(tmp_path: Path) -> None:
    dev = rows(tmp_path, "mmlu/dev.jsonl", 284, question="q", choices=["a"], answer=0, subject="s")
    lacks = rows(tmp_path, "mmlu_pro/validation.jsonl", 70, question_id=1, question="q")
    result = RUNNER.invoke(application(), ["data", "verify", str(tmp_path)])
    assert result.exit_code == 1
    assert isinstance(result.exception, DataError)  # main() prints it and exits with 2
    assert str(result.exception).splitlines() == [
        f"{lacks}:1: the row has no field 'options'",
        f"{dev}: 284 rows, the manifest says 285",
    ]


def test_the_command_ends_with_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.cli.main import main

    monkeypatch.setattr("sys.argv", ["sso-bench", "data", "verify", str(tmp_path / "absent")])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2


def test_a_folder_without_known_files_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data folder"):
        verify(tmp_path / "absent")
    result = RUNNER.invoke(application(), ["data", "verify", str(tmp_path)])
    assert "no file of the manifest" in str(result.exception)


def test_list_shows_what_is_there(tmp_path: Path) -> None:
    rows(tmp_path, "mmlu/dev.jsonl", 1, question="q")
    result = RUNNER.invoke(application(), ["data", "list", "--to", str(tmp_path)])
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line}
    assert lines["mmlu/dev.jsonl"][1:5] == ["285", "0.2", "open", "yes"]
    assert lines["gpqa/dataset.zip"][3:5] == ["encrypted", "-"]
    assert "--gpqa-zip" in result.stdout


def test_get_goes_on_after_a_failure_and_tells_all_of_them(
    server: Server, tmp_path: Path, data_dir: Path
) -> None:
    base = "/openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c"
    test = (data_dir / "gsm8k/test.jsonl").read_bytes()
    server.files[f"{base}/grade_school_math/data/test.jsonl"] = test
    given = ["data", "get", "gsm8k", "gpqa", "--to", str(tmp_path)]
    result = RUNNER.invoke(application(), given)
    assert f"fetched: {tmp_path}/gsm8k/test.jsonl" in result.stdout
    problems = str(result.exception).splitlines()
    assert ["train.jsonl does not exist (404)" in problems[0], len(problems)] == [True, 2]
    result = RUNNER.invoke(application(), given)
    assert f"present: {tmp_path}/gsm8k/test.jsonl" in result.stdout


def test_a_zip_that_is_not_the_official_one_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "dataset.zip"
    other.write_bytes(b"PK")
    given = ["data", "get", "--gpqa-zip", str(other), "--to", str(tmp_path / "data")]
    result = RUNNER.invoke(application(), given)
    assert "not the official dataset.zip" in str(result.exception)
