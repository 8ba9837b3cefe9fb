"""The stage that has the pairs judged: what the judge is shown, which pairs are drawn, the marks."""

from __future__ import annotations

from typing import Any

from harness.stages.pair_accuracy import comparison, draw_pairs, pair_marks


def row(**more: Any) -> dict[str, Any]:
    prompt = [{"role": "system", "content": "be good"}, {"role": "user", "content": "q"}]
    return {"id": "1", "prompt": prompt, "chosen": "a", "rejected": "b", "kind": "policy", **more}


def test_a_judge_sees_the_conversation_and_no_reasoning() -> None:
    shown = comparison(row(chosen="<think>b is better</think>\na", rejected="<think>cut"))
    assert shown.instruction == "System: be good\n\nUser: q"
    assert (shown.output_1, shown.output_2) == ("a", "")


def test_a_generator_pair_is_shown_without_our_principle() -> None:
    assert comparison(row(kind="generator+")).instruction == "q"


def test_the_sample_is_seeded_and_in_file_order() -> None:
    rows = [{"id": str(n)} for n in range(20)]
    drawn = draw_pairs(rows, 5, 1)
    assert drawn == [r for r in rows if r in drawn]
    assert len(drawn) == 5
    assert drawn == draw_pairs(rows[::-1], 5, 1)[::-1] != draw_pairs(rows, 5, 2)
    assert draw_pairs(rows, 20, 1) == draw_pairs(rows, None, 1) == rows


def test_marks_name_why_a_figure_stands_apart() -> None:
    assert pair_marks("sample", False, 2, 3) == ("sample-data", "item-limit", "local-judge")
    assert pair_marks("hub", True, 3, 3) == ()
