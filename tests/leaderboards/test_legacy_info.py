"""The fall-back for older runs agrees with the benchmarks and arms themselves."""

import pytest

from harness.benchmarks import BENCHMARKS, get_benchmark
from harness.stages.pair_accuracy import INFO
from leaderboards import legacy_info
from leaderboards.legacy_info import arm_info, score_info
from sso.arms import ARMS

STATED = {**{name: get_benchmark(name).info for name in BENCHMARKS}, "pair_accuracy": INFO}


@pytest.mark.parametrize("name", [name for name in STATED if name in legacy_info.BENCHMARKS])
def test_an_older_score_is_shown_as_a_new_one(name):
    stated, kept = STATED[name], legacy_info.BENCHMARKS[name]
    for metric in {column.metric or "any" for column in stated.columns}:
        for headline in (True, False):
            assert kept.of_score(metric, headline) == stated.of_score(metric, headline)


@pytest.mark.parametrize("name", ARMS)
def test_an_older_arm_is_shown_as_a_new_one(name):
    arm = ARMS[name]
    kept = arm_info(name)
    assert (kept.title, kept.order, kept.ablation) == (arm.title, arm.order, arm.ablation)


def test_what_nobody_knows_is_shown_under_its_own_name_last():
    assert score_info("riddles", "accuracy", True).label == "riddles"
    assert score_info("riddles", "accuracy", True).order > score_info("ifeval", "x", True).order
    assert score_info("riddles", "strict", False).column == ""
    assert (arm_info("mine").title, arm_info("mine").order) == ("mine", 1000)
