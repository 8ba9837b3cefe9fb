"""A note on a model is read for what it was written for, and only whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from groundwork.kept_note import KeptNote
from tests.architectures import build

NOTE = {"loop": "fast", "notes": ["why"]}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(model: Any = None, code: Path = Path(__file__).parent, **settings: object) -> KeptNote:
    return KeptNote("probes", build("llama") if model is None else model, [code], settings)


def test_a_note_is_read_for_the_same_architecture_code_and_settings_only(tmp_path: Path) -> None:
    assert kept().read() is None
    kept().write(NOTE)
    assert kept().read() == NOTE
    assert kept(length=3).read() is None
    assert kept(build("qwen2")).read() is None
    assert kept(build("llama").to(torch.bfloat16)).read() is None
    (tmp_path / "loop.py").write_text("x = 1")
    assert kept(code=tmp_path).read() is None


@pytest.mark.parametrize("damage", ["{", "[]", "{}", "changed"])
def test_a_damaged_note_is_not_read(damage: str) -> None:
    kept().write(NOTE)
    if damage == "changed":
        damage = json.dumps({**json.loads(kept().file.read_text()), "loop": "slow"})
    kept().file.write_text(damage)
    assert kept().read() is None


def test_a_cache_that_cannot_be_written_is_no_error(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    kept().write(NOTE)
    assert kept().read() is None
