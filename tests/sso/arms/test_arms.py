"""Every arm from folders to folders, with a fake engine and training recorded or real."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from groundwork.errors import UserError
from sso.arms import ARMS, get_arm
from sso.settings import MethodSettings
from tests.sso.arm_loop import NAMES, QUERIES, Loop


def test_the_registry_holds_every_method() -> None:
    assert tuple(ARMS) == NAMES
    assert all(get_arm(name).name == name for name in NAMES)
    assert get_arm("SSO_joint") is ARMS["sso-joint"]


def test_titles_and_places_in_a_table_are_the_arms_own() -> None:
    arms = sorted(ARMS.values(), key=lambda arm: arm.order)
    assert [arm.title for arm in arms] == [
        "UltraFeedback", "PBAA", "PBAA generator", "SSO (joint)", "SSO",
        "SSO w/o W", "SSO w/o G", "SSO w/o W, G", "SSO, L+ only", "SSO, L- only",
    ]  # fmt: skip
    assert len({arm.order for arm in arms}) == len(arms)
    assert [arm.name for arm in arms if arm.ablation] == [
        "pbaa-generator", "without-w", "without-g", "without-w-g", "sso-plus", "sso-minus",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pbba", "did you mean 'pbaa'"),
        ("sso-jont", "did you mean 'sso-joint'"),
        ("xyz", "there are: sso,"),
    ],
)
def test_an_unknown_method_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        get_arm(name)


@pytest.mark.parametrize("loss", ["ipo", "dpo"])
@pytest.mark.parametrize("name", NAMES)
def test_every_arm_trains_a_tiny_model(
    name: str, loss: str, loop: Loop, tiny_model_dir: Path
) -> None:
    from safetensors.torch import load_file

    loop.policy = tiny_model_dir
    loop.settings = MethodSettings.model_validate(
        {
            "loss": {"kind": loss},
            "training": {"learning_rate": 1e-3, "batch_size": 2, "report_to": []},
        }
    )
    arm = get_arm(name)
    loop.run(arm)
    before = load_file(tiny_model_dir / "model.safetensors")
    for step in arm.steps:
        if step.kind != "train":
            continue
        after = load_file(loop.root / step.name / "model" / "model.safetensors")
        assert set(after) == set(before)
        moved = max(float((after[k] - before[k]).abs().max()) for k in before)
        assert 0 < moved < 0.1
        result = loop.results[step.name]
        assert math.isfinite(result.measures["loss"])
        assert result.counts["groups"] == (3 if name == "ultrafeedback" else len(QUERIES))
        assert result.tokens > 0
