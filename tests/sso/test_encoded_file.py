"""Encoded groups come back from their file as they were."""

from __future__ import annotations

from pathlib import Path

from sso.encoded_file import load_encoded, save_encoded
from sso.encoding import Encoded
from sso.objectives import Objective
from tests.sso.training_examples import encode


def test_groups_and_counts_come_back(tiny_model_dir: Path, tmp_path: Path) -> None:
    groups = encode(tiny_model_dir, Objective("joint"), n=5)
    encoded = Encoded(groups, {"groups": 5, "dropped_too_long": 2})
    save_encoded(encoded, tmp_path / "encoded.npz")
    assert load_encoded(tmp_path / "encoded.npz") == encoded
