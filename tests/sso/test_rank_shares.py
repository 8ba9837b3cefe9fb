"""Bins per process: whole rounds, even, longest first, every group once."""

from __future__ import annotations

import random

import pytest

from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair
from sso.fast_forward import ForwardPlan
from sso.rank_shares import rounds, smallest


def group(name: str, prompt: int, *completions: int) -> EncodedGroup:
    branch = EncodedBranch((5,) * prompt, tuple((7,) * n for n in completions))
    return EncodedGroup(name, (branch,), {"policy": EncodedPair(name, 0, 0, 1)})


def paper_like(n: int) -> list[EncodedGroup]:
    """Lengths as a policy writes them: log-normal, cut at 2,048."""
    draw = random.Random(1)

    def length() -> int:
        return min(2048, max(8, int(draw.lognormvariate(5.8, 0.7))))

    return [group(str(i), 60 + length() // 10, length(), length()) for i in range(n)]


@pytest.mark.parametrize("world", [1, 2, 3, 8, 40])
@pytest.mark.parametrize("n", [1, 5, 32])
def test_every_group_is_computed_once_in_whole_rounds(world: int, n: int) -> None:
    groups = paper_like(n)
    found = rounds(groups, ForwardPlan(), 4096, world)
    assert all(len(bins) == world for bins in found)
    assert sorted(g.id for bins in found for b in bins for g in b) == sorted(g.id for g in groups)
    for bins in found:
        for bin_ in bins:
            assert len(bin_) <= 1 or sum(g.packed_tokens for g in bin_) <= 4096


def test_as_many_bins_as_processes_though_one_would_hold_all() -> None:
    groups = [group(str(i), 10, 10 + i, 10) for i in range(8)]
    (only,) = rounds(groups, ForwardPlan(), 100_000, 8)
    assert [len(bin_) for bin_ in only] == [1] * 8
    sizes = [bin_[0].packed_tokens for bin_ in only]
    assert sizes == sorted(sizes, reverse=True)


def test_fewer_groups_than_processes_leave_idle_ones_without_a_group() -> None:
    (only,) = rounds([group(str(i), 10, 5, 5) for i in range(3)], ForwardPlan(), 1000, 4)
    assert [len(bin_) for bin_ in only] == [1, 1, 1, 0]


def test_eight_processes_are_busy() -> None:
    """44 % of the passes' tokens were useful with bins that ignored the number of processes."""
    useful = passed = 0
    for at in range(0, 320, 32):
        step = paper_like(320)[at : at + 32]
        for bins in rounds(step, ForwardPlan(), 8192, 8):
            sizes = [sum(g.packed_tokens for g in bin_) for bin_ in bins]
            useful += sum(sizes)
            passed += max(sizes) * 8
    assert useful / passed > 0.85


def test_the_idle_pass_is_a_few_tokens_of_the_shortest_group() -> None:
    tiny = smallest([group("long", 100, 300, 200), group("short", 20, 30, 40)])
    assert tiny.id == "short"
    assert tiny.packed_tokens == 1


def test_sequences_beyond_the_length_limit_stay_in_bins_of_their_own() -> None:
    plan = ForwardPlan(length_limit=50)
    groups = [group("a", 10, 100, 100), group("b", 10, 20, 20), group("c", 10, 20, 20)]
    found = [b for bins in rounds(groups, plan, 10_000, 2) for b in bins if b]
    assert all(len({plan.packs(g) for g in bin_}) == 1 for bin_ in found)
