"""The partition of a request list into batches."""

from __future__ import annotations

import random

import pytest

from harness.engines.batching import Batch, Group, common_prefix, plan_batches
from harness.engines.decode_state import pieces


@pytest.mark.parametrize(
    ("a", "b", "shared"),
    [
        ([], [1], 0),
        ([1], [2], 0),
        ([1, 2, 3], [1, 2, 3], 3),
        ([1, 2, 3], [1, 2], 2),
        ([1, 2, 3, 4], [1, 2, 9, 4], 2),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 6], 4),
    ],
)
def test_common_prefix(a: list[int], b: list[int], shared: int) -> None:
    assert common_prefix(a, b) == shared
    assert common_prefix(b, a) == shared


def test_few_shot_prompts_form_groups_and_the_rest_is_sorted_by_length() -> None:
    shots_a, shots_b = list(range(100)), list(range(500, 580))
    prompts = [
        [*shots_a, 7, 8],
        [1000, 1001],
        [*shots_b, 3],
        [*shots_a, 7, 9, 9],
        [2000, 2001, 2002],
        [*shots_b, 4, 4, 4],
    ]
    (batch,) = plan_batches(prompts, 10, rows=8, slots=10_000)
    assert batch == Batch((Group(101, (3, 0)), Group(80, (5, 2)), Group(0, (4, 1))))


def test_the_last_token_is_never_shared() -> None:
    same = list(range(50))
    (batch,) = plan_batches([same, same], 4, rows=8, slots=10_000)
    assert batch.groups == (Group(49, (0, 1)),)
    (batch,) = plan_batches([same, same], 4, rows=8, slots=10_000, open_tail=[5, 10])
    assert batch.groups == (Group(40, (0, 1)),)


def test_a_short_common_header_is_not_worth_a_group() -> None:
    header = list(range(31))
    (batch,) = plan_batches([[*header, 1, 2], [*header, 3]], 4, rows=8, slots=10_000)
    assert [group.prefix for group in batch.groups] == [0]


def test_batches_are_even_and_complete() -> None:
    prompts = [[i, *range(1000, 1000 + i % 7)] for i in range(130)]
    batches = plan_batches(prompts, 4, rows=128, slots=100_000)
    assert [len(batch.items) for batch in batches] == [65, 65]
    assert sorted(item for batch in batches for item in batch.items) == list(range(130))


def test_slots_bound_every_batch() -> None:
    chance = random.Random(3)
    shots = list(range(200))
    prompts = []
    for number in range(200):
        own = [chance.randrange(5000) for _ in range(chance.randrange(1, 60))]
        prompts.append([*shots, *own] if number % 2 else own)
    batches = plan_batches(prompts, 20, rows=64, slots=2_000)
    assert sorted(i for b in batches for i in b.items) == list(range(200))
    for batch in batches:
        own_lengths = [len(prompts[i]) - g.prefix for g in batch.groups for i in g.items]
        used = sum(g.prefix for g in batch.groups) + len(own_lengths) * (max(own_lengths) + 20)
        assert used <= 2_000
        assert len(own_lengths) <= 64


def test_a_row_larger_than_the_slots_runs_alone() -> None:
    batches = plan_batches([[1] * 5, [2] * 50, [3] * 4], 10, rows=8, slots=40)
    assert [batch.items for batch in batches] == [[1], [0, 2]]


@pytest.mark.parametrize(
    ("lengths", "limit", "prefix", "expected"),
    [
        ([], 10, 0, []),
        ([4, 4, 3, 3], 10, 0, [(0, 2), (2, 4)]),
        ([50, 1, 1], 10, 0, [(0, 1), (1, 3)]),
        ([3, 9], 10, 0, [(0, 1), (1, 2)]),
        ([1, 1, 1, 1], 10, 159, [(0, 2), (2, 4)]),
    ],
)
def test_pieces(
    lengths: list[int], limit: int, prefix: int, expected: list[tuple[int, int]]
) -> None:
    assert pieces(lengths, limit, prefix) == expected
