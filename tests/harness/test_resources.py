"""Engines of a run: opened once, at most so many at a time, opened again after a release."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.config import load_config
from harness.data import open_source
from harness.engines.fake import FakeEngine
from harness.models import ResolvedModel
from harness.resources import Resources


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    gone: list[object] = []
    monkeypatch.setattr(FakeEngine, "close", lambda engine: gone.append(engine))
    return gone


def resources(model: Path, *overrides: str) -> Resources:
    config = load_config("quickstart", ["engine.kind=fake", *overrides])
    return Resources(config, ResolvedModel(model, "folder", "m", "f" * 64), open_source("sample"))


def test_an_engine_is_opened_once_and_the_oldest_goes(closed: list[object], tmp_path: Path) -> None:
    held = resources(tmp_path, "engine.loaded_models=2")
    a, b = held.engine(tmp_path / "a"), held.engine(tmp_path / "b")
    assert held.engine(tmp_path / "a") is a
    held.engine(tmp_path / "c")
    assert closed == [b]
    assert held.engine(tmp_path / "a") is a


def test_a_release_closes_all_and_the_next_use_opens_again(
    closed: list[object], tmp_path: Path
) -> None:
    held = resources(tmp_path)
    first = held.engine(tmp_path)
    held.release()
    assert closed == [first]
    assert held.engine(tmp_path) is not first


def test_a_writer_is_alone_in_memory_and_open_only_while_it_writes(
    closed: list[object], tmp_path: Path
) -> None:
    held = resources(tmp_path, f"writer.model={tmp_path}", "writer.kind=fake")
    policy = held.engine(tmp_path)
    with held.writer() as writer:
        assert closed == [policy]
        assert writer is not policy
    assert closed == [policy, writer]


def test_only_the_engine_of_a_checkpoint_that_goes_is_closed(
    closed: list[object], tmp_path: Path
) -> None:
    held = resources(tmp_path, "engine.loaded_models=2")
    a, b = held.engine(tmp_path / "a"), held.engine(tmp_path / "b")
    held.release_model(tmp_path / "a")
    held.release_model(tmp_path / "never opened")
    assert closed == [a]
    assert held.engine(tmp_path / "b") is b
