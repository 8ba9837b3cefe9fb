"""The commands that read run folders, given places they can't write to and names nobody has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call
from tests.leaderboards.example_runs import add_eval, start_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with one benchmark."""
    folder = start_run(tmp_path)
    add_eval(folder, "gsm8k", [1, 0, 1, 0])
    return folder


PLACES = [
    ["table", "RUN", "--out", "FILE/t.md"],
    ["report", "RUN", "--out", "FILE/r.html"],
    ["plot", "RUN", "--out", "FILE/plots"],
    ["baseline", "save", "RUN", "--out", "FILE/b.json"],
    ["check", "RUN", "--baseline", "RUN", "--junit", "FILE/j.xml"],
]
NAMES = [
    (["table", "RUN", "-o", "t.pdf"], "stands for no table format"),
    (["table", "RUN", "--layout", "iteratoins"], "did you mean 'iterations'"),
    (["check", "RUN", "--baseline", "RUN", "--arm", "ssso"], "it has base"),
    (["check", "RUN", "--baseline", "RUN", "--effect", "gsm9k=3"], "did you mean 'gsm8k'"),
    (["check", "RUN", "--baseline", "RUN", "--effect", "gsm8k=-3"], "above 0"),
    (["check", "RUN", "--baseline", "RUN", "--effect", "gsm8k=nan"], "above 0"),
    (["check", "RUN", "--baseline", "RUN", "-b", ""], "name at least one"),
    (["check", "RUN", "--baseline", "RUN", "--missing", "maybe"], "missing: Input should be"),
    (["check", "RUN", "--baseline", "RUN", "--policy", "none.yaml"], "no such file: none.yaml"),
    (["check", "RUN", "--baseline", "none.json"], "no such baseline"),
    (["history", "show", "--db", "none.sqlite"], "history add"),
    (["run", "--seeds", "0"], "--seeds 0: at least 1"),
]


@pytest.mark.parametrize("words", PLACES, ids=lambda words: words[0])
def test_a_place_that_cannot_be_written_is_one_line(
    call: Call, run: Path, tmp_path: Path, words: list[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    named = [word.replace("RUN", str(run)).replace("FILE", str(file)) for word in words]
    done = call(*named)
    assert done.code == 2
    assert str(file) in done.err
    assert len(done.err.splitlines()) == 1
    assert file.read_text() == "kept"


@pytest.mark.parametrize(("words", "message"), NAMES, ids=lambda words: words[-1])
def test_a_name_that_nobody_has_is_one_line(
    call: Call,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*[word.replace("RUN", str(run)) for word in words])
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_a_table_in_a_tex_file_is_latex(call: Call, run: Path, tmp_path: Path) -> None:
    done = call("table", run, "-o", tmp_path / "t.tex")
    assert done.code == 0, done.err
    assert r"\begin{tabular}" in (tmp_path / "t.tex").read_text()


def test_models_are_compared(call: Call, run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    description = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**description, "name": "other", "model": "org/x"}))
    done = call("compare", run, other)
    assert done.code == 0, done.err
    assert "Models compared" in done.out
    assert "org/x can't be told from" in done.out
    written = call("compare", run, other, "-o", tmp_path / "c.tex")
    assert written.code == 0, written.err
    assert (tmp_path / "c.tex").read_text().count(r"\begin{tabular}") == 2
    alone = call("compare", run)
    assert (alone.code, "two models" in alone.err) == (2, True)
