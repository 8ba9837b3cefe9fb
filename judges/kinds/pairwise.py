"""Which of two answers is better, asked in both orders (FastChat's ``pair-v2`` way of asking)."""

from __future__ import annotations

from judges.prompts import PromptBook
from judges.records import Comparison
from judges.replies import Reading, Reply, unread_state
from judges.requests import JudgeRequest

MARKS = {"[[A]]": 1.0, "[[B]]": 2.0, "[[C]]": 1.5}
REMINDER = 'Give only your verdict now: "[[A]]", "[[B]]" or "[[C]]" for a tie.'


def requests(comparison: Comparison, book: PromptBook) -> tuple[JudgeRequest, JudgeRequest]:
    """The two requests: outputs as given, and swapped."""
    return (
        _request(comparison.instruction, comparison.output_1, comparison.output_2, book),
        _request(comparison.instruction, comparison.output_2, comparison.output_1, book),
    )


def _request(question: str, answer_a: str, answer_b: str, book: PromptBook) -> JudgeRequest:
    values = {"question": question, "answer_a": answer_a, "answer_b": answer_b}
    return JudgeRequest(
        book.templates["pair-v2"].fill(values),
        {"temperature": 0, "max_tokens": 2048},
        f"pairwise/{book.protocol}/pair-v2",
    )


def read(reply: Reply) -> Reading:
    """1 for the first shown, 2 for the second, 1.5 for a tie.

    Where several marks stand in the reply, FastChat's precedence A, B, C decides.
    """
    for mark, value in MARKS.items():
        if mark in reply.text:
            return Reading("ok", value)
    return Reading(unread_state(reply))
