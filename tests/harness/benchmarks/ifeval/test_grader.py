"""IFEval's checkers in their process: verdicts, repeatable draws, and an item's own error."""

from __future__ import annotations

from harness.benchmarks.grader_processes import grade_all
from harness.benchmarks.ifeval import GRADER


def target(*kinds: str, **arguments: object) -> dict[str, object]:
    return {
        "key": 1,
        "prompt": "p",
        "instruction_id_list": list(kinds),
        "kwargs": [dict(arguments) for _ in kinds],
    }


def test_verdicts_and_errors_stay_with_their_items() -> None:
    no_comma = target("punctuation:no_comma")
    tasks = [
        {"target": no_comma, "text": "one two"},
        {"target": no_comma, "text": "one, two"},
        {"target": target("no:such_check"), "text": "one"},
        {"target": target("change_case:english_lowercase", letter="#"), "text": "all is low here"},
    ]
    right, wrong, unknown, odd = grade_all(GRADER, tasks, seconds=30.0, workers=1)
    assert (right["prompt_level_strict_acc"], right["inst_level_strict_acc"]) == (True, [True])
    assert (wrong["prompt_level_strict_acc"], wrong["inst_level_loose_acc"]) == (False, [False])
    assert "no:such_check" in unknown["error"]
    assert "error" in odd or odd["inst_level_strict_acc"] == [True]


def test_a_letter_that_is_drawn_is_the_same_every_time() -> None:
    drawn = target(
        "keywords:letter_frequency", letter="#", let_frequency=1, let_relation="at least"
    )
    tasks = [{"target": drawn, "text": f"abcdefghij {n}"} for n in range(6)]
    first = grade_all(GRADER, tasks, seconds=30.0, workers=1)
    assert first == grade_all(GRADER, tasks[::-1], seconds=30.0, workers=1)[::-1]
    assert len({str(verdicts["inst_level_strict_acc"]) for verdicts in first}) == 1
