"""The chunked output layer against torch's log-softmax, and the registered attention."""

from __future__ import annotations

import pytest
import torch

from sso.logprobs import completion_sums, token_logprobs, whole_logprobs


@pytest.mark.parametrize("chunk_bytes", [4 * 50, 4 * 50 * 3, 4 * 50 * 7, 10**9])
@pytest.mark.parametrize("with_bias", [False, True])
def test_chunked_equals_whole(chunk_bytes: int, with_bias: bool) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(17, 8, requires_grad=True)
    weight = torch.randn(50, 8, requires_grad=True)
    bias = torch.randn(50, requires_grad=True) if with_bias else None
    targets = torch.randint(0, 50, (17,))
    upstream = torch.randn(17)
    inputs = [hidden, weight] + ([bias] if bias is not None else [])
    whole = whole_logprobs(torch.nn.functional.linear(hidden, weight, bias), targets)
    expected = torch.autograd.grad(whole @ upstream, inputs)
    chunked = token_logprobs(hidden, weight, targets, bias, chunk_bytes)
    found = torch.autograd.grad(chunked @ upstream, inputs)
    torch.testing.assert_close(chunked, whole, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)


def test_repeated_rows_and_frozen_weight() -> None:
    """The last prompt token predicts the first token of two completions: its row comes twice."""
    torch.manual_seed(0)
    hidden = torch.randn(3, 4, requires_grad=True)
    weight = torch.randn(9, 4)
    rows, targets = torch.tensor([0, 1, 0, 2]), torch.tensor([3, 4, 5, 6])
    found = token_logprobs(hidden[rows], weight, targets, chunk_bytes=72)
    whole = torch.log_softmax(hidden @ weight.t(), -1)[rows, targets]
    torch.testing.assert_close(found, whole)
    ours = torch.autograd.grad(found.sum(), hidden)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(whole.sum(), hidden)[0])


def test_sums_by_completion() -> None:
    sums = completion_sums(torch.tensor([1.0, 2.0, 4.0, 8.0]), [1, 3])
    assert sums.tolist() == [1.0, 14.0]
