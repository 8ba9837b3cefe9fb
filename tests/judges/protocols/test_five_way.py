"""Five-way verdicts: both orders, replies, prompts of the authors' form."""

from __future__ import annotations

from pathlib import Path

import pytest

from judges import Comparison, JudgeError
from judges.protocols.five_way import five_way_prompt, graded, read, requests
from judges.reply import read_reply

PAIR = Comparison(
    item_id="1", instruction="the {question_1}", output_1="first {answer_2}", output_2="second"
)


def reply(text: str) -> object:
    return read_reply({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})


def test_both_orders_show_the_outputs_and_braces_stay() -> None:
    given, swapped = (r.messages[-1]["content"] for r in requests(PAIR, five_way_prompt()))
    assert given.index("first {answer_2}") < given.index("second")
    assert swapped.index("second") < swapped.index("first {answer_2}")
    assert "the {question_1}" in given


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("So: [[A>>B]]", 1.0),
        ("[[A>B]]", 1.25),
        ("[[A=B]] and again [[A=B]]", 1.5),
        ("[[B>A]]", 1.75),
        ("My final verdict is: [[B>>A]].", 2.0),
        ("[[A>B]] or [[B>A]]", None),
        ("A is better", None),
        ("[[A<B]]", None),
    ],
)
def test_replies(text: str, value: float | None) -> None:
    found = read(reply(text))  # type: ignore[arg-type]
    assert found.value == value
    assert (found.state == "ok") == (value is not None)


def test_the_authors_file_takes_the_place_of_our_prompt(tmp_path: Path) -> None:
    file = tmp_path / "judge_config.yaml"
    file.write_text(
        'system_prompt: "Judge."\nprompt_template: ["<|User Prompt|>\\n{question_1}\\n{answer_1}|{answer_2}"]\n'
    )
    prompt = five_way_prompt(file)
    assert prompt.protocol.startswith("five-way/arena-hard-")
    assert prompt.protocol != five_way_prompt().protocol
    assert requests(PAIR, prompt)[1].messages[-1]["content"].endswith("second|first {answer_2}")


@pytest.mark.parametrize("text", ["[1", "a: 1", "system_prompt: x\nprompt_template: [no places]"])
def test_a_file_that_is_no_such_prompt(text: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(JudgeError, match=r"p\.yaml"):
        five_way_prompt(file)


def test_a_preference_in_five_steps() -> None:
    assert [graded(p) for p in (1.0, 1.3, 1.5, 1.6, 2.0)] == [1.0, 1.25, 1.5, 1.75, 2.0]
