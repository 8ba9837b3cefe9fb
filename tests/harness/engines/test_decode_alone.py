"""SingleDecoder, one prompt at a time through ``generate``, against the untouched model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundwork.sampling_params import SamplingParams
from harness.engines.batching import Batch, Group
from harness.engines.decode_alone import SingleDecoder
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
    return SingleDecoder(model, codec_of(tiny_model_dir), max_length=64)


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


def test_a_prompt_of_one_token_continues_nothing(tiny_model_dir: Path, tmp_path: Path) -> None:
    """RecurrentGemma keeps its state in its modules, and takes a single token for the next one."""
    from tests.architectures import save

    folder = save("recurrent-gemma", tmp_path, tiny_model_dir)
    model, codec = untouched(folder), codec_of(folder)
    decoder = SingleDecoder(model, codec, max_length=64)
    texts = []
    for _ in range(2):
        decoder.generate(
            Batch((Group(0, (0, 1)),)), [[9], [9, 10, 11, 12]], [0, 0], SamplingParams(8),
            lambda item, completion: texts.append((item, completion.text)),
        )  # fmt: skip
    assert texts[:2] == texts[2:]


def test_generation_settings_of_the_checkpoint_do_not_leak_in(
    decoder: Any, tiny_model_dir: Path
) -> None:
    decoder.model.generation_config.repetition_penalty = 50.0
    assert generated(decoder, SamplingParams(12)) == plain(tiny_model_dir, 12)
    assert decoder.model.generation_config.repetition_penalty == 50.0
