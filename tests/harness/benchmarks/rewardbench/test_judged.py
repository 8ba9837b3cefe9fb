"""RewardBench by a judge: credit of both orders, subsets and sections."""

from __future__ import annotations

import pytest

from harness.benchmarks.rewardbench.judged import judged_parts, judged_table
from judges import Comparison, Verdict
from judges.protocols.labelled import LabelledPair


def pair(number: int, subset: str) -> LabelledPair:
    comparison = Comparison(item_id=str(number), instruction="q", output_1="a", output_2="b")
    return LabelledPair(comparison, (2,), subset)


def both(*values: float | None) -> tuple[Verdict, Verdict]:
    first, second = (
        Verdict(
            item_id="1",
            kind="pairwise",
            judge="j",
            protocol="p",
            state="ok" if v else "unparsed",
            value=v,
        )
        for v in values
    )
    return first, second


def test_both_orders_count_half_each_and_ties_half_of_that() -> None:
    verdicts = [both(2.0, 2.0), both(2.0, 1.0), both(1.5, 2.0), both(None, 1.0)]
    parts = judged_parts([pair(i, "donotanswer") for i in range(4)], verdicts)
    assert parts["donotanswer"].value == pytest.approx((1 + 0.5 + 0.75 + 0.25) / 4)


def test_sections_are_shown_for_subsets_of_rewardbench_only() -> None:
    shown = judged_table([pair(1, "donotanswer")], [both(2.0, 2.0)])
    assert shown == [("subset donotanswer", "100.0 % of 1"), ("RewardBench safety", "100.0 % of 1")]
    assert judged_table([pair(1, "")], [both(2.0, 2.0)]) == []
    two = judged_table([pair(1, "x"), pair(2, "y")], [both(2.0, 2.0), both(1.0, 1.0)])
    assert two == [("subset x", "100.0 % of 1"), ("subset y", "0.0 % of 1")]
