"""A download's bar is shown on a terminal, even where the libraries' bars are off, and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from groundwork.download_bar import download_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_bar_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert download_bar() is None


def test_a_terminal_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    bar = download_bar()
    assert bar is not None
    with bar(
        total=2_000_000, unit="B", unit_scale=True, desc="model.safetensors", name="hf"
    ) as shown:
        shown.update(1_000_000)
        shown.refresh()
    assert "model.safetensors:  50%" in screen.getvalue()
