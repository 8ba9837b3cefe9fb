"""Rows of a batch: when they end, what they report, how they are cut into passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion
from harness.engines.batching import Batch, Group
from harness.engines.chat_tokenizer import Codec
from harness.engines.decode_state import Row, advance, choose, make_rows, pieces, read_targets


@pytest.fixture(scope="module")
def codec(tiny_model_dir: Path) -> Codec:
    return Codec(tiny_model_dir)


def written(
    codec: Codec, text: str, params: SamplingParams, room: int = 99
) -> tuple[Completion, int]:
    """What a row reports whose model writes ``text`` and an end of turn, and after how many tokens."""
    found: list[Completion] = []
    row = Row(0, [5], 1, 0, room)
    for count, token in enumerate([*codec.encode([text])[0], 2], 1):
        advance(row, token, params, codec, lambda item, completion: found.append(completion))
        if row.done:
            return found[0], count
    raise AssertionError("the row never ended")


def test_an_end_of_turn_is_counted_and_not_part_of_the_text(codec: Codec) -> None:
    assert written(codec, "abc", SamplingParams(99)) == (Completion("abc", 1, 4, False), 4)


def test_a_stop_string_ends_at_once_and_is_cut(codec: Codec) -> None:
    params = SamplingParams(99, stop=("bc", "never"))
    assert written(codec, "abcd", params) == (Completion("a", 1, 3, False), 3)


def test_no_room_left_is_truncated(codec: Codec) -> None:
    assert written(codec, "abc", SamplingParams(99), room=2) == (Completion("ab", 1, 2, True), 2)


def test_end_tokens_can_be_ignored(codec: Codec) -> None:
    row = Row(0, [5], 1, 0, 3)
    done: list[Completion] = []
    for token in (2, 2, 2):
        advance(row, token, SamplingParams(3, ignore_end=True), codec, lambda i, c: done.append(c))
    assert row.done
    assert done[0].completion_tokens == 3


def test_rows_keep_what_follows_their_prefix_and_what_fits() -> None:
    batch = Batch((Group(2, (1, 0)), Group(0, (2,))))
    prompts = [[1, 2, 3], [1, 2, 4, 5], [9]]
    rows = make_rows(batch, prompts, [10, 11, 12], SamplingParams(8), max_length=10)
    assert [(r.item, r.own, r.seed, r.room) for r in rows] == [
        (1, [4, 5], 11, 6),
        (0, [3], 10, 7),
        (2, [9], 12, 8),
    ]


def test_a_rows_choice_does_not_depend_on_its_mates() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 50, generator=generator)
    rows = [Row(i, [1], 1, 100 + i, 9) for i in range(3)]
    params = SamplingParams(9, temperature=1.0, top_p=0.9)
    together = choose(rows, logits, params, 4).tolist()
    assert [int(choose([r], logits[i : i + 1], params, 4)) for i, r in enumerate(rows)] == together
    assert choose(rows, logits, SamplingParams(9), 4).tolist() == logits.argmax(-1).tolist()


def test_pieces_stay_within_the_limit() -> None:
    assert pieces([4, 4, 4], 8) == [(0, 2), (2, 3)]
    assert pieces([100, 1], 8) == [(0, 1), (1, 2)]
    assert pieces([], 8) == []


def test_targets_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    best, other = read_targets(logits, [[0, 2], [1, 2]])
    assert best.total == pytest.approx(float(torch.log(torch.tensor(0.5 * 0.8))))
    assert (best.tokens, best.greedy, other.greedy) == (2, True, False)
