"""Which of two answers is better, asked in both orders (FastChat's ``pair-v2`` way of asking)."""

from __future__ import annotations

from judges.prompts import PromptBook
from judges.records import Comparison
from judges.reply import Reading, Reply, unread_state
from judges.request import JudgeRequest

NAME = "pair-v2"
PARAMS = {"temperature": 0, "max_tokens": 2048}
MARKS = {"[[A]]": 1.0, "[[B]]": 2.0, "[[C]]": 1.5}
REMINDER = 'Give only your verdict now: "[[A]]", "[[B]]" or "[[C]]" for a tie.'


def requests(comparison: Comparison, book: PromptBook) -> tuple[JudgeRequest, JudgeRequest]:
    """The two requests: outputs as given, and swapped."""
    return _request(comparison, book, False), _request(comparison, book, True)


def _request(comparison: Comparison, book: PromptBook, swapped: bool) -> JudgeRequest:
    answers = (comparison.output_1, comparison.output_2)
    values = {
        "question": comparison.instruction,
        "answer_a": answers[swapped],
        "answer_b": answers[not swapped],
    }
    return JudgeRequest(
        book.templates[NAME].fill(values),
        PARAMS,
        protocol(book),
        tags={**comparison.model_dump(exclude={"v"}), "swapped": swapped},
    )


def protocol(book: PromptBook) -> str:
    """Protocol id: source and wording of the prompt."""
    return f"pairwise/{book.protocol}/{NAME}"


def read(reply: Reply) -> Reading:
    """1 for the first shown, 2 for the second, 1.5 for a tie.

    Where several marks stand in the reply, FastChat's precedence A, B, C decides.
    """
    for mark, value in MARKS.items():
        if mark in reply.text:
            return Reading("ok", value)
    return Reading(unread_state(reply))
