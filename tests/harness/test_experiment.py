"""The run's own description and default folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.config import load_config
from harness.experiment import default_out, git_state


@pytest.mark.parametrize(
    ("overrides", "prefix", "name"),
    [
        ([], "", "quickstart"),
        ([], "eval-", "eval-quickstart"),
        (["model=org/Some-Model"], "", "quickstart-Some-Model"),
        (["data=/data/real"], "", "quickstart-real"),
        (["mode=offline", "seeds=[1,2]"], "", "quickstart-offline-seed1-2"),
        (["judge.name=gpt-4.1"], "", "quickstart-name=gpt-4.1"),
        (["judge.max_cost=5", "methods=[pbaa]", "iterations=1"], "", "quickstart"),
    ],
)
def test_the_default_folder_is_named_after_the_differences(
    overrides: list[str], prefix: str, name: str
) -> None:
    config, preset = load_config("quickstart", overrides), load_config("quickstart")
    assert default_out(config, preset, prefix) == Path("runs") / name


def test_the_state_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() is None
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@e"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "m"], check=True)
    first = git_state()
    assert first is not None
    assert (len(first["commit"]), first["dirty"]) == (40, False)
    Path("new").write_text("")
    assert (git_state() or {})["dirty"] is True
