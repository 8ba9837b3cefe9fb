"""``sso-bench table``."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from groundwork.errors import UserError
from harness.cli.main import application
from tests.leaderboards.example_runs import add_eval, start_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = start_run(tmp_path)
    add_eval(folder, "gsm8k", [1, 0, 1, 0])
    return folder


def table(*words: object) -> str:
    done = CliRunner().invoke(application(), ["table", *map(str, words)], catch_exceptions=False)
    return done.stdout


def test_printed_as_text(run: Path) -> None:
    assert "Scores of every iteration by arm" in table(run)
    assert table(run, "--format", "md").startswith("**Scores of every iteration by arm**")


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("t.md", "**"),
        ("t.tex", "% needs"),
        ("t.html", "<figure"),
        ("t.csv", "model,"),
        ("t.txt", "Scores"),
    ],
)
def test_written_as_the_ending_has_it(run: Path, tmp_path: Path, name: str, start: str) -> None:
    assert table(run, "-o", tmp_path / name) == f"written: {tmp_path / name}\n"
    assert (tmp_path / name).read_text().startswith(start)


def test_a_format_goes_before_the_ending(run: Path, tmp_path: Path) -> None:
    table(run, "-f", "csv", "-o", tmp_path / "t.md")
    assert (tmp_path / "t.md").read_text().startswith("model,")


def test_an_unknown_ending_writes_nothing(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stands for no table format"):
        table(run, "-o", tmp_path / "t.pdf")
    assert not (tmp_path / "t.pdf").exists()
