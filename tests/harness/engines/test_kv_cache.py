"""The passes of the decode loop against dense attention."""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

from harness.engines.kv_cache import OwnPass, OwnStore, PrefixPass, RowGroup, StepPass

HEADS, KEY_HEADS, SIZE, WIDE = 4, 2, 8, 6
"""Values narrower than keys, as multi-head latent attention has them."""


def tensors(rows: int, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, HEADS, length, SIZE, generator=generator),
        torch.randn(rows, KEY_HEADS, length, SIZE, generator=generator),
        torch.randn(rows, KEY_HEADS, length, WIDE, generator=generator),
    )


def dense(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """The last rows of causal attention, one sequence."""
    k, v = (x.repeat_interleave(HEADS // KEY_HEADS, dim=1) for x in (k, v))
    mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(k.shape[2] - q.shape[2])
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def test_prefix_own_tokens_and_steps_equal_dense_attention() -> None:
    prefix = tensors(1, 5, 0)
    group, alone = RowGroup(5, 0, 2), RowGroup(0, 2, 1)
    found = PrefixPass(group).attend(0, *prefix, scale=None)
    torch.testing.assert_close(found, dense(*prefix))

    store = OwnStore(3, 10, cleared=4)
    own, single = tensors(2, 4, 1), tensors(1, 2, 2)
    found = OwnPass(group, store, 0).attend(0, *own, scale=None)
    for row in range(2):
        k = torch.cat([prefix[1], own[1][row : row + 1]], dim=2)
        v = torch.cat([prefix[2], own[2][row : row + 1]], dim=2)
        torch.testing.assert_close(found[row : row + 1], dense(own[0][row : row + 1], k, v))
    OwnPass(alone, store, 2).attend(0, *single, scale=None)

    lengths = torch.tensor([4, 3, 2])  # the second row has one token fewer than was padded to
    step = tensors(3, 1, 3)
    found = StepPass(store, [group, alone], lengths, longest=4).attend(0, *step, scale=None)
    seen = [(prefix, own, 0, 4), (prefix, own, 1, 3), (None, single, 0, 2)]
    for row, (before, tokens, place, length) in enumerate(seen):
        parts_k = [tokens[1][place : place + 1, :, :length], step[1][row : row + 1]]
        parts_v = [tokens[2][place : place + 1, :, :length], step[2][row : row + 1]]
        if before is not None:
            parts_k, parts_v = [before[1], *parts_k], [before[2], *parts_v]
        expected = dense(step[0][row : row + 1], torch.cat(parts_k, 2), torch.cat(parts_v, 2))
        torch.testing.assert_close(found[row : row + 1], expected)


def test_rows_that_stay_move_to_the_front() -> None:
    store = OwnStore(3, 4, cleared=2)
    _, key, value = tensors(3, 2, 0)
    store.write(0, 0, key, value)
    store.keep(torch.tensor([0, 2]), used=2)
    keys, values = store.layer(0, key, value)
    torch.testing.assert_close(keys[:, :, :2], key[[0, 2]])
    torch.testing.assert_close(values[:, :, :2], value[[0, 2]])
