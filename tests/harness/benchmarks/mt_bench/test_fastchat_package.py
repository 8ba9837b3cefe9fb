"""FastChat's constants are read from its source text: nothing of it is run."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from harness.benchmarks.mt_bench.fastchat_package import fastchat_constants
from harness.errors import ProtocolError

SOURCE = """raise SystemExit("it ran")
temperature_config = {"writing": 0.7, "math": 0.0}
NEED_REF_CATS = ["math"]
one_score_pattern = re.compile("\\[\\[(\\d+)\\]\\]")
one_score_pattern_backup = re.compile("\\[(\\d+)\\]")
"""


def install(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "llm_judge").mkdir()
    (folder / "llm_judge" / "common.py").write_text(source)
    spec = ModuleSpec("fastchat", None, origin=str(folder / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


def test_constants_are_read_and_the_source_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, SOURCE, monkeypatch)
    found = fastchat_constants()
    assert found.temperatures == {"writing": 0.7, "math": 0.0}
    assert found.reference_categories == ["math"]
    assert found.score_pattern_backup == r"\[(\d+)\]"


@pytest.mark.parametrize(
    "source",
    [
        SOURCE.replace("NEED_REF_CATS", "OTHER"),
        SOURCE.replace("0.7", "warm()"),
        SOURCE.replace("one_score_pattern = re.compile(", "one_score_pattern = (lambda x: x)["),
    ],
)
def test_another_release_is_named(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source.replace('\\]\\]")', '\\]\\]"]') if "lambda" in source else source
    install(tmp_path, source, monkeypatch)
    with pytest.raises(ProtocolError, match=r"is not the llm_judge of fschat 0\.2\.36"):
        fastchat_constants()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ProtocolError, match="fschat package is not installed"):
        fastchat_constants()
