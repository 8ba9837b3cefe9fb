"""The hub source: fetched once, honest without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.data import open_source
from harness.data.hub import hub_source
from harness.data.manifest import manifest_revision
from harness.errors import DataError
from tests.harness.data.data_server import Server, server, serving
from tests.harness.data.manifest_entries import (
    GITHUB,
    ROWS,
    entry,
)

__all__ = ["server"]  # a fixture


def test_the_hub_source_fetches_what_it_lacks_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("harness.data.hub.manifest", lambda: (entry(),))
    server.files[GITHUB] = ROWS
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path))
    data = open_source("hub")
    assert data.label == f"hub@{manifest_revision()}"
    assert data.find("gsm8k/absent.jsonl") is None
    assert server.asked == []
    assert len(data.rows("gsm8k/train.jsonl", "gsm8k/test.jsonl")) == 40
    assert len(data.rows("gsm8k/test.jsonl")) == 40
    assert len(server.asked) == 1
    assert "fetching gsm8k/test.jsonl" in capsys.readouterr().err


def test_the_hub_source_is_honest_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as gone:
        address = gone.url
    monkeypatch.setenv("SSO_BENCH_GITHUB", address)
    monkeypatch.setattr("harness.data.fetch.PAUSE_S", 0.0)
    with pytest.raises(DataError, match=r"can't be fetched: .*refused.*--data sample"):
        hub_source(tmp_path).path("gsm8k/test.jsonl")
