"""Which record of a run answers to which of the baseline."""

import math

import pytest

from groundwork.errors import UserError
from leaderboards.gate.baseline import Side, headline_records
from leaderboards.gate.matching import is_usable, paired_records
from leaderboards.gate.policy import GatePolicy
from tests.leaderboards.example_runs import add_eval, start_run


def side(run):
    return Side(run.name, tuple(headline_records([run])), {})


def test_single_checkpoints_are_compared_whatever_their_names(tmp_path):
    first, second = start_run(tmp_path, "a"), start_run(tmp_path, "b")
    add_eval(first, "gsm8k", [1, 0])
    add_eval(second, "gsm8k", [1, 1], arm="sso", iteration=3)
    ((before, after),) = paired_records(side(first), side(second), GatePolicy())
    assert (before["arm"], before["iteration"]) == ("sso", 3)
    assert after["value"] == 100.0


def test_several_checkpoints_must_agree(tmp_path):
    first, second = start_run(tmp_path, "a"), start_run(tmp_path, "b")
    for step in (1, 2):
        add_eval(first, "gsm8k", [1, 0], arm="sso", iteration=step)
    for arm in ("pbaa", "ultrafeedback"):
        add_eval(second, "gsm8k", [1, 0], arm=arm, iteration=1)
    with pytest.raises(UserError, match="nothing to compare: the run has pbaa 1 gsm8k"):
        paired_records(side(first), side(second), GatePolicy())


def test_only_the_benchmarks_that_are_named(tmp_path):
    run = start_run(tmp_path)
    for name in ("gsm8k", "math"):
        add_eval(run, name, [1, 0])
    ((before, _),) = paired_records(side(run), side(run), GatePolicy(only=("math",)))
    assert before["benchmark"] == "math"


def test_a_withheld_figure_is_not_usable():
    assert not is_usable(None)
    assert not is_usable({"value": math.nan})
    assert is_usable({"value": 0.0})
