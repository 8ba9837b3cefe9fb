"""Decoder, the loop with its own cache and shared prefixes, against the untouched model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundwork.attention import switch_attention
from groundwork.sampling_params import SamplingParams
from harness.engines.decode import Decoder
from tests.harness.engines.decode_examples import (
    PROMPTS,
    codec_of,
    forward_totals,
    generated,
    plain,
    scored,
    untouched,
)

TARGETS = [[[5], [6]], [[100, 101, 102]], [[33, 2], [34, 2]]]
"""Options of one token that share a row, a longer continuation, two that differ before their end."""


@pytest.fixture
def decoder(tiny_model_dir: Path) -> Any:
    model = untouched(tiny_model_dir)
    switch_attention(model)
    return Decoder(model, codec_of(tiny_model_dir), max_length=64, piece_tokens=16)


def test_greedy_rows_equal_generate(decoder: Any, tiny_model_dir: Path) -> None:
    assert generated(decoder, SamplingParams(12)) == plain(tiny_model_dir, 12)


def test_sampled_rows_follow_their_seeds(decoder: Any) -> None:
    params = SamplingParams(12, temperature=1.0, top_p=0.95)
    first = generated(decoder, params)
    assert first == generated(decoder, params)
    assert first != generated(decoder, SamplingParams(12))


def test_scores_equal_the_forward_pass(decoder: Any, tiny_model_dir: Path) -> None:
    targets = [TARGETS[0], TARGETS[1], [TARGETS[2][0]]]
    found = scored(decoder, targets)
    assert [found[i].total for i in sorted(found)] == pytest.approx(
        forward_totals(tiny_model_dir, targets), abs=1e-4
    )


def test_a_row_ends_where_the_context_does(decoder: Any) -> None:
    decoder.max_length = len(PROMPTS[0]) + 3
    found = generated(decoder, SamplingParams(12, ignore_end=True))
    assert (found[0].completion_tokens, found[0].truncated) == (3, True)
    assert found[2].completion_tokens == 12
