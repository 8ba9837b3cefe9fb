"""What a table would take: full-size counts, prices, shared runs, nothing fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.experiments import get_experiment
from harness.reproduce import Options
from harness.reproduce_plan import estimates, plan_lines

PAPER, QUICK = Options("paper", Path("r"), {}), Options("quick", Path("r"), {})


def test_judge_calls_are_those_of_the_full_sets() -> None:
    found = estimates(get_experiment("v2:table4"), PAPER)
    # base and two arms on AlpacaEval (805) and MT-Bench (160), and 200 pairs of each arm in both orders
    assert [each.judge_calls for each in found] == [
        pytest.approx(3 * (805 + 160) + 2 * 400, abs=3)
    ] * 2
    assert all(each.dollars > 1 for each in found)
    assert found[0].stages["train"] == 4


def test_larger_tables_take_longer_and_the_quick_scale_is_free() -> None:
    small = sum(e.hours for e in estimates(get_experiment("v2:table4"), PAPER))
    large = sum(e.hours for e in estimates(get_experiment("v2:table1"), PAPER))
    assert 0 < small < large
    quick = estimates(get_experiment("v2:table1"), QUICK)
    assert sum(e.dollars for e in quick) == 0
    assert sum(e.hours for e in quick) > 0


def test_the_weaker_writer_takes_less() -> None:
    by_name = {e.run.folder.name: e.hours for e in estimates(get_experiment("v2:table5"), PAPER)}
    weak = next(name for name in by_name if "2.5-3B" in name and "llama" in name)
    assert by_name[weak] < by_name["v2-llama3-8b-sft"]


def test_shared_runs_are_named() -> None:
    lines = plan_lines(get_experiment("v1:table12"), PAPER)
    assert any("qwen2-7b-instruct is shared with" in line and "v1:table5" in line for line in lines)
