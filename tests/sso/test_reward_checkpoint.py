"""A reward model is known by its configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from sso.reward_checkpoint import refuse_reward_model, require_reward_model


def checkpoint(folder: Path, **config: object) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_one_score_is_a_reward_model_and_writes_no_text(tmp_path: Path) -> None:
    found = checkpoint(
        tmp_path, architectures=["LlamaForSequenceClassification"], id2label={"0": "score"}
    )
    require_reward_model(found)
    with pytest.raises(UserError, match="which writes no text"):
        refuse_reward_model(found)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, r"\(LlamaForCausalLM\)"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "2 labels"),
        ({}, "no architecture named"),
    ],
)
def test_anything_else_is_none(config: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"is no reward model.*{said}"):
        require_reward_model(checkpoint(tmp_path, **config))


def test_a_folder_without_configuration_is_left_to_others(tmp_path: Path) -> None:
    refuse_reward_model(tmp_path)
    with pytest.raises(UserError, match="no architecture named"):
        require_reward_model(tmp_path)
