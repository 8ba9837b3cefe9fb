"""The machine's report: no secret in it, a missing package named."""

from __future__ import annotations

from importlib import metadata

import pytest
from typer.testing import CliRunner

from harness import estimate
from harness.cli.main import application


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "machine_gflops", lambda: 100.0)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


def test_the_report_names_keys_and_never_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret")
    done = CliRunner().invoke(application(), ["doctor"])
    assert "OPENAI_API_KEY is set" in done.output
    assert "planted" not in done.output
    assert "about 100 GFLOP/s" in done.output


def test_a_missing_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "fschat":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    done = CliRunner().invoke(application(), ["doctor"])
    assert "package fschat is missing" in str(done.exception)
