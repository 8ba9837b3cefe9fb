"""What is known about a checkpoint before a training, and what is compared after it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from groundwork.errors import UserError
from sso.checkpoints import changed_share, fitted_length, learned_positions, weights_fingerprint
from sso.settings import TrainingSettings
from tests.architectures import save


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        ("gpt2", 512),
        ("opt", 512),
        ("biogpt", 512),
        ("llama", None),
        ("bloom", None),
        ("mamba", None),
    ],
)
def test_learned_positions(
    name: str, positions: int | None, tiny_model_dir: Path, tmp_path: Path
) -> None:
    assert learned_positions(save(name, tmp_path, tiny_model_dir)) == positions


def test_sequences_beyond_the_learned_positions_are_refused(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    model = save("gpt2", tmp_path, tiny_model_dir)
    with pytest.raises(UserError, match=r"learned 512 positions: set training\.max_length=512"):
        fitted_length(model, TrainingSettings(max_length=600))
    assert fitted_length(model, TrainingSettings(max_length=500)) == 500
    assert fitted_length(model, TrainingSettings()) == 512  # the default gives way
    rotary = TrainingSettings(max_length=100_000)
    assert fitted_length(tiny_model_dir, rotary) == 100_000


def test_changed_share_by_hand(tmp_path: Path) -> None:
    before, after = tmp_path / "a", tmp_path / "b"
    weights = {"x": torch.zeros(2, 3), "y": torch.ones(4)}
    for folder, moved in (
        (before, weights),
        (after, {**weights, "y": torch.tensor([1.0, 2, 1, 3])}),
    ):
        folder.mkdir()
        save_file(moved, folder / "model.safetensors")
    assert changed_share(before, before) == 0
    assert changed_share(before, after) == 2 / 10


def test_a_change_that_rounding_takes_back_is_none(tmp_path: Path) -> None:
    before, after = tmp_path / "a", tmp_path / "b"
    for folder, value in (
        (before, torch.tensor([1.0])),
        (after, torch.tensor([1.0001]).bfloat16()),
    ):
        folder.mkdir()
        save_file({"x": value}, folder / "model.safetensors")
    assert changed_share(before, after) == 0


def test_the_fingerprint_follows_weights_and_configuration(tmp_path: Path) -> None:
    for folder, value, width in (("a", 1.0, 4), ("b", 1.0, 4), ("c", 2.0, 4), ("d", 1.0, 8)):
        (tmp_path / folder).mkdir()
        save_file({"x": torch.full((3,), value)}, tmp_path / folder / "model.safetensors")
        (tmp_path / folder / "config.json").write_text(f'{{"hidden_size": {width}}}')
    a, b, c, d = (weights_fingerprint(tmp_path / folder) for folder in "abcd")
    assert a == b
    assert len({a, c, d}) == 3
