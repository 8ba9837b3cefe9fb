"""``sso-bench report`` and ``plot``."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from groundwork.errors import UserError
from harness.cli.main import application
from tests.leaderboards.example_runs import demo_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_run(tmp_path_factory.mktemp("runs"), arms=("sso",), iterations=1)


def called(*words: object) -> list[str]:
    done = CliRunner().invoke(application(), [*map(str, words)], catch_exceptions=False)
    return done.stdout.splitlines()


def test_the_page_lies_in_the_run_by_default(run: Path, tmp_path: Path) -> None:
    assert called("report", run) == [f"written: {run / 'report.html'}"]
    assert called("report", run, "-o", tmp_path / "r.html") == [f"written: {tmp_path / 'r.html'}"]
    called("report", run, "-o", tmp_path / "r.html", "--title", "Mine & yours")
    assert "<title>Mine &amp; yours</title>" in (tmp_path / "r.html").read_text()


def test_every_plot_that_the_run_has_data_for(run: Path, tmp_path: Path) -> None:
    lines = called("plot", run, "-o", tmp_path, "--format", "svg")
    written = {Path(line.removeprefix("written: ")).stem for line in lines if "written" in line}
    assert written == {"scores", "length", "on-policyness", "training", "cost"}
    missing = {line.split(" plot:")[0] for line in lines if line.startswith("no ")}
    assert missing == {
        "no categories", "no subjects", "no probability", "no accuracy-probability",
        "no accuracy-probability-by-iteration", "no pair-lengths",
    }  # fmt: skip
    assert (tmp_path / "scores.svg").read_text().count("<svg") == 1


def test_an_unknown_format(run: Path) -> None:
    with pytest.raises(UserError, match=r"no plot format 'gif' \(there are: pdf, svg, png"):
        called("plot", run, "--format", "gif")
