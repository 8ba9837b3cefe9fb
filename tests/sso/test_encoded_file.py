"""Encoded groups come back from their file as they were, their ids only when they are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from sso.encoded_file import load_encoded, save_encoded
from sso.encoding import Encoded, EncodedBranch, EncodedGroup
from sso.objectives import Objective
from tests.sso.training_examples import encode


def test_groups_and_counts_come_back(tiny_model_dir: Path, tmp_path: Path) -> None:
    groups = encode(tiny_model_dir, Objective("joint"), n=5)
    counts = {"groups": 5, "dropped_too_long": 2}
    save_encoded(iter(groups), counts, tmp_path / "encoded.bin")
    found = load_encoded(tmp_path / "encoded.bin")
    (tmp_path / "encoded.bin").unlink()  # as a training does when it ends
    assert found == Encoded(groups, counts)
    assert Encoded(groups, counts) == found
    assert repr(found.groups[0].branches) == repr(
        groups[0].branches
    )  # what fingerprints are made of
    assert found.groups[0].packed_tokens == groups[0].packed_tokens


def test_ids_in_the_file_stand_for_the_tuple(tmp_path: Path) -> None:
    group = EncodedGroup("é", (EncodedBranch((1, 70_000, 3), ((4, 5), (6,))),), {})
    save_encoded([group], {}, tmp_path / "f")
    (branch,) = load_encoded(tmp_path / "f").groups[0].branches
    prompt = branch.prompt
    assert ([*prompt], prompt[:2], prompt[-1], hash(prompt)) == (
        [1, 70_000, 3],
        (1, 70_000),
        3,
        hash((1, 70_000, 3)),
    )
    assert prompt != (1, 70_000)
    assert prompt != (1, 70_000, 4)
    assert branch.completions == ((4, 5), (6,))
    assert hash(branch) == hash(group.branches[0])


def test_a_failed_encoding_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def failing():  # type: ignore[no-untyped-def]
        yield EncodedGroup("a", (EncodedBranch((1,), ((2,),)),), {})
        raise RuntimeError

    save_encoded([], {"groups": 0}, tmp_path / "f")
    with pytest.raises(RuntimeError):
        save_encoded(failing(), {}, tmp_path / "f")
    assert load_encoded(tmp_path / "f") == Encoded((), {"groups": 0})
