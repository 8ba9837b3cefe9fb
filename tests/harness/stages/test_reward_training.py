"""The parts of a mix: sets, files, runs; and what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.data import open_source
from harness.stages.reward_training import mix_name, pair_set

SAMPLE = open_source("sample")


def run(folder: Path, *arms: str, iterations: int = 2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"config": {}, "arms": list(arms)}))
    for arm in arms:
        for number in range(1, iterations + 1):
            place = folder / arm / f"iter-{number}" / ("pairs" if arm == "sso" else "sample")
            place.mkdir(parents=True)
            line = {
                "v": 1, "id": "q/policy", "query_id": "q", "chosen": f"good {number}", "rejected": "bad",
                "prompt": [{"role": "user", "content": "x"}],
            }  # fmt: skip
            (place / "pairs.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def test_sets_by_name_and_files(tmp_path: Path) -> None:
    assert pair_set("skywork", SAMPLE).name == "skywork-80k-v0.2"
    assert len(pair_set("skywork", SAMPLE).rows) == 16
    assert len(pair_set("ultrafeedback", SAMPLE).rows) == 66
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"prompt": "q", "chosen": "a", "rejected": "b"}) + "\n")
    assert pair_set(str(file), SAMPLE).name == "mine"


def test_the_pairs_that_an_arm_trained_on(tmp_path: Path) -> None:
    both = run(tmp_path / "both", "sso", "pbaa")
    found = pair_set(f"run:{both}/sso", SAMPLE)
    assert [row["chosen"] for row in found.rows] == ["good 1", "good 2"]
    assert len({row["id"] for row in found.rows}) == 2
    assert [r["chosen"] for r in pair_set(f"run:{both}/pbaa/iter-2", SAMPLE).rows] == ["good 2"]
    assert pair_set(f"run:{run(tmp_path / 'one', 'sso')}", SAMPLE).name == "sso"
    assert mix_name([pair_set("skywork", SAMPLE), found]) == "skywork-80k-v0.2+sso"


def test_what_is_wrong_with_a_part(tmp_path: Path) -> None:
    both = run(tmp_path / "both", "sso", "pbaa")
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text(json.dumps({"prompt": "q", "chosen": "a"}) + "\n")
    for spec, said in (
        ("skywrk", "did you mean 'skywork'"),
        (f"run:{both}", "several arms: name one"),
        (f"run:{both}/ssso", "did you mean 'sso'"),
        (f"run:{both}/sso/iter-9", "no finished pairs of sso iter-9"),
        (f"run:{tmp_path}/none", "no run folder"),
        (str(wrong), r"wrong.jsonl:1: field 'rejected' is missing"),
    ):
        with pytest.raises(UserError, match=said):
            pair_set(spec, SAMPLE)
