"""Choosing tokens: against distributions worked out by hand and by transformers' own warpers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.engines.sample_token import pick, uniforms


def test_uniforms_are_uniform_and_belong_to_seed_and_step() -> None:
    seeds = np.arange(20_000, dtype=np.uint64)
    one = uniforms(seeds, 0)
    assert 0 <= one.min() < one.max() < 1
    counts = np.histogram(one, bins=20, range=(0, 1))[0]
    # Chi-square with 19 degrees of freedom: 99.99 % of uniform samples stay under 51.
    assert ((counts - 1000) ** 2 / 1000).sum() < 51
    assert abs(np.corrcoef(one, uniforms(seeds, 1))[0, 1]) < 0.03
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.03
    assert np.array_equal(uniforms(seeds[5:9], 0), one[5:9])


def test_greedy_takes_the_argmax() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 0.0]])
    assert pick(logits, 0.0, 1.0, None).tolist() == [1, 0]


def test_inverse_distribution_by_hand() -> None:
    # Probabilities 0.5, 0.3, 0.15, 0.05; top-p 0.79 keeps the first two: 0.625 and 0.375.
    logits = torch.log(torch.tensor([[0.05, 0.5, 0.15, 0.3]])).repeat(5, 1)
    draws = np.array([0.0, 0.62, 0.63, 0.99, 0.9999999])
    assert pick(logits, 1.0, 0.79, draws).tolist() == [1, 1, 3, 3, 3]
    # Without a nucleus: cumulative 0.5, 0.8, 0.95, 1.
    draws = np.array([0.49, 0.51, 0.79, 0.81, 0.96])
    assert pick(logits, 1.0, 1.0, draws).tolist() == [1, 3, 3, 2, 0]


def test_temperature_comes_before_the_nucleus() -> None:
    # At temperature 0.5 probabilities 0.5, 0.3, 0.2 become 0.25, 0.09, 0.04 over 0.38.
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).repeat(3, 1)
    assert pick(logits, 0.5, 0.65, np.array([0.0, 0.5, 0.999])).tolist() == [0, 0, 0]
    assert pick(logits, 0.5, 0.67, np.array([0.0, 0.72, 0.74])).tolist() == [0, 0, 1]


@pytest.mark.parametrize("scale", [0.01, 1.0, 5.0])
def test_nucleus_equals_transformers(scale: float) -> None:
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(16, 1000, generator=generator) * scale
    warped = TopPLogitsWarper(0.8)(None, TemperatureLogitsWarper(0.7)(None, logits))
    kept = torch.isfinite(warped).sum(dim=-1)
    order = warped.argsort(dim=-1, descending=True)
    last = order.gather(1, kept[:, None] - 1)[:, 0]
    assert pick(logits, 0.7, 0.8, np.zeros(16)).tolist() == order[:, 0].tolist()
    assert pick(logits, 0.7, 0.8, np.full(16, 1 - 1e-9)).tolist() == last.tolist()


def test_frequencies_follow_the_distribution() -> None:
    probabilities = torch.tensor([0.4, 0.3, 0.2, 0.1])
    draws = uniforms(np.arange(40_000, dtype=np.uint64), 3)
    chosen = pick(probabilities.log().repeat(40_000, 1), 1.0, 1.0, draws)
    share = torch.bincount(chosen, minlength=4) / 40_000
    assert torch.allclose(share, probabilities, atol=0.01)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(32, 500, generator=generator)
    draws = uniforms(np.arange(32, dtype=np.uint64), 0)
    together = pick(logits, 0.9, 0.95, draws)
    for row in range(32):
        alone = pick(logits[row : row + 1], 0.9, 0.95, draws[row : row + 1])
        assert alone.item() == together[row].item()
