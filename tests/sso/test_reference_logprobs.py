"""Reference log-probabilities: cut by group, written whole, read back only where they fit."""

from __future__ import annotations

from pathlib import Path

import torch

from sso.batches import plain_batch
from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair
from sso.reference_logprobs import (
    compute_references,
    load_references,
    save_references,
    split_by_group,
)


def group(name: str, *lengths: int) -> EncodedGroup:
    branch = EncodedBranch((1, 2), tuple(tuple(range(n)) for n in lengths))
    return EncodedGroup(name, (branch,), {"policy": EncodedPair(name, 0, 0, 1)})


GROUPS = (group("a", 2, 1), group("b", 1, 3))


def test_tokens_are_dealt_out_in_order() -> None:
    parts = split_by_group(torch.arange(7.0), GROUPS)
    assert {name: part.tolist() for name, part in parts.items()} == {
        "a": [0.0, 1.0, 2.0],
        "b": [3.0, 4.0, 5.0, 6.0],
    }


def test_every_batch_is_scored_once_without_a_gradient() -> None:
    seen: list[int] = []
    weight = torch.ones(1, requires_grad=True)
    found = compute_references(
        lambda batch: weight * batch.targets.float(),
        [plain_batch([g]) for g in GROUPS],
        seen.append,
    )
    assert seen == [1, 2]
    assert not any(part.requires_grad for part in found.values())
    assert found["b"].tolist() == [0.0, 0.0, 1.0, 2.0]


def test_a_file_serves_exactly_its_groups(tmp_path: Path) -> None:
    file = tmp_path / "work" / "references.safetensors"
    assert load_references(file, GROUPS) is None
    save_references({"a": torch.zeros(3), "b": torch.ones(4)}, file)
    assert [f.name for f in file.parent.iterdir()] == [file.name]
    found = load_references(file, GROUPS)
    assert found is not None
    assert found["b"].tolist() == [1.0] * 4
    assert load_references(file, (group("a", 2, 2),)) is None  # another length
    assert load_references(file, (*GROUPS, group("c", 1, 1))) is None


def test_any_damage_makes_them_absent(tmp_path: Path) -> None:
    file = tmp_path / "references.safetensors"
    save_references({"a": torch.ones(3), "b": torch.zeros(4)}, file)
    data = file.read_bytes()
    assert load_references(file, GROUPS) is not None
    for place in (0, 4, len(data) - 1):
        file.write_bytes(data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :])
        assert load_references(file, GROUPS) is None
    file.write_bytes(data[:-5])
    assert load_references(file, GROUPS) is None
