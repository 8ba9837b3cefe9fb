"""Encoding, packing and the invariances: no batching may change a loss or a gradient."""

from __future__ import annotations

from pathlib import Path

import torch

from sso.batches import pack_groups, packed_batch, plain_batch
from sso.objectives import Objective
from tests.sso.training_examples import (
    encode,
)


def test_shared_prompt_is_there_once(tiny_model_dir: Path) -> None:
    groups = encode(tiny_model_dir, Objective("generator"), n=1)
    (group,) = groups
    good, bad = group.branches
    packed, plain = packed_batch(groups), plain_batch(groups)
    lengths = [len(c) for b in (good, bad) for c in b.completions]
    assert packed.tokens == len(good.prompt) + len(bad.prompt) + sum(lengths) - 4
    assert plain.input_ids.shape[0] == 4
    assert torch.equal(packed.targets, plain.targets)
    # every completion starts at the position after its prompt, also the second one
    starts = [
        packed.position_ids[0, len(good.prompt)],
        packed.position_ids[0, len(good.prompt) + lengths[0] - 1],
    ]
    assert [int(s) for s in starts] == [len(good.prompt)] * 2


def test_packing_respects_the_budget_and_keeps_every_group(tiny_model_dir: Path) -> None:
    groups = encode(tiny_model_dir, Objective("pair"), n=9)
    largest = max(g.packed_tokens for g in groups)
    for budget in (1, largest, 2 * largest, 10**6):
        bins = pack_groups(groups, budget)
        assert sorted(g.id for b in bins for g in b) == sorted(g.id for g in groups)
        for members in bins:
            assert len(members) == 1 or sum(g.packed_tokens for g in members) <= budget
    assert len(pack_groups(groups, 10**6)) == 1
    assert len(pack_groups(groups, 1)) == 9
