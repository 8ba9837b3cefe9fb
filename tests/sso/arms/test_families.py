"""What the arms of a family share: the same samples, their order, the pairs that are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sso.arms import get_arm
from tests.sso.arm_loop import Loop


def test_sso_and_pbaa_start_from_the_same_samples(
    tmp_path: Path, trainings: list[dict[str, Any]]
) -> None:
    found = []
    for name in ("sso", "sso-joint", "pbaa"):
        run = Loop(tmp_path / name, tmp_path / "base")
        run.run(get_arm(name))
        found.append([(c["good"], c["bad"]) for c in run.lines("sample/contrasts.jsonl")])
    assert found[0] == found[1] == found[2]


def test_without_w_and_g_trains_on_what_pbaa_trains_on(
    tmp_path: Path, trainings: list[dict[str, Any]]
) -> None:
    for name in ("pbaa", "without-w-g"):
        Loop(tmp_path / name, tmp_path / "base").run(get_arm(name))
    pbaa, ablation = trainings
    assert pbaa["groups"] == ablation["groups"]
    assert (pbaa["objective"], pbaa["seed"]) == (ablation["objective"], ablation["seed"])
