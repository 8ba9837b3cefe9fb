"""The manifest's pins, names of data sets, and the lock file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.data.manifest import manifest, read_lock, select
from harness.errors import DataError

SETTLED_AT_DOWNLOAD = {
    "preference/skywork_80k_v0.2.jsonl",
    "rewardbench/filtered.jsonl",
    "arena_hard_v2/question.jsonl",
    "arena_hard_v2/model_answer/o3-mini-2025-01-31.jsonl",
    "arena_hard_v2/model_answer/gemini-2.0-flash-001.jsonl",
}
"""Files of a branch: the lock file keeps commit and checksum of the first download."""


def test_the_manifest_is_pinned_and_names_are_checked() -> None:
    files = manifest()
    assert len({file.path for file in files}) == len(files)
    for file in files:
        pinned = len(file.revision) == 40 or all(source.sha256 for source in file.sources)
        assert pinned or file.path in SETTLED_AT_DOWNLOAD, file.path
        assert file.convert or len(file.sources) == 1
    assert [f.path for f in select(["gsm8k"])] == ["gsm8k/test.jsonl", "gsm8k/train.jsonl"]
    assert [f.path for f in select(["mmlu/dev.jsonl"])] == ["mmlu/dev.jsonl"]
    assert select([]) == list(files)
    with pytest.raises(DataError, match="did you mean 'mmlu_pro'"):
        select(["mmlupro"])


def test_a_damaged_lock_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.lock.json").write_text(json.dumps({"files": {"a": 1}}))
    with pytest.raises(DataError, match=r"data.lock.json is damaged"):
        read_lock(tmp_path)
