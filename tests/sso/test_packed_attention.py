"""Attention over a packed sequence against the dense mask."""

from __future__ import annotations

import pytest
import torch

from groundwork import cpu_kernels as kernels
from sso.batches import BranchLayout, PackedLayout
from sso.packed_attention import packed_attention

SHORT = PackedLayout((BranchLayout(0, 5, (3, 0, 4)), BranchLayout(12, 2, (6,))), 20)


# longer than a block of query rows, prompt and completion both, and not a multiple of it
LONG = PackedLayout((BranchLayout(0, 300, (271, 3)), BranchLayout(574, 1, (2,))), 577)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("layout", [SHORT, LONG], ids=["short", "long"])
def test_packed_attention_equals_the_dense_mask(
    layout: PackedLayout, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "usable", lambda *tensors: fast)
    torch.manual_seed(0)
    query = torch.randn(1, layout.tokens, 4, 8).transpose(1, 2).requires_grad_()
    key = torch.randn(1, 2, layout.tokens, 8, requires_grad=True)
    value = torch.randn(1, layout.tokens, 2, 8).transpose(1, 2).requires_grad_()
    found = packed_attention(query, key, value, layout, scaling=0.3)
    dense = torch.nn.functional.scaled_dot_product_attention(
        query,
        key.repeat_interleave(2, 1),
        value.repeat_interleave(2, 1),
        attn_mask=layout.mask(),
        scale=0.3,
    )
    torch.testing.assert_close(found, dense, atol=1e-5, rtol=1e-4)
    upstream = torch.randn_like(found)
    ours = torch.autograd.grad((found * upstream).sum(), (query, key, value))
    theirs = torch.autograd.grad((dense * upstream).sum(), (query, key, value))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_mask_by_hand() -> None:
    """Prompt of 2, completions of 1 and 2: nobody sees the other completion or the future."""
    mask = PackedLayout((BranchLayout(0, 2, (1, 2)),), 5).mask()
    assert mask.int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]
