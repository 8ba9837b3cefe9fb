"""MT-Bench's single-answer rating, 1 to 10, with and without reference answers.

Protocol of FastChat's llm_judge (Zheng et al., arXiv 2306.05685): temperature 0, 2048 tokens; the
score is the first ``[[x]]`` of the reply, else the first ``[x]``, else the reply is unparsed.
"""

from __future__ import annotations

import re

from judges.errors import JudgeError
from judges.prompts import PromptBook
from judges.records import Rating
from judges.reply import Reading, Reply, unread_state
from judges.request import JudgeRequest

SCORE = re.compile(r"\[\[(\d+(?:\.\d*)?)\]\]")
SCORE_BACKUP = re.compile(r"\[(\d+(?:\.\d*)?)\]")
"""FastChat's patterns, in a form that takes linear time on any text."""
NEED_REFERENCE = ("math", "reasoning", "coding")
PARAMS = {"temperature": 0, "max_tokens": 2048}
REMINDER = 'Give only the rating now, in the form "[[rating]]", for example "[[5]]".'


def template_name(rating: Rating) -> str:
    """Which of the four prompts fits the conversation.

    Raises:
        JudgeError: the turns are neither two nor four, or references are missing for them.
    """
    if len(rating.turns) not in (2, 4):
        raise JudgeError(f"{rating.item_id}: a rating needs 2 or 4 turns, not {len(rating.turns)}")
    if rating.references and len(rating.references) < len(rating.turns) // 2:
        raise JudgeError(f"{rating.item_id}: one reference answer per turn is needed")
    kind = "single-math-v1" if rating.references else "single-v1"
    return kind if len(rating.turns) == 2 else f"{kind}-multi-turn"


def protocol(book: PromptBook, name: str) -> str:
    """Protocol id: source and wording of the prompts, and which of them."""
    return f"mt-bench/{book.protocol}/{name}"


def request(rating: Rating, book: PromptBook) -> JudgeRequest:
    """The request for one answer; second turns show the whole conversation."""
    name = template_name(rating)
    turns, references = rating.turns, rating.references
    values = {"question": turns[0], "answer": turns[1]}
    if len(turns) == 4:
        values = {
            "question_1": turns[0],
            "answer_1": turns[1],
            "question_2": turns[2],
            "answer_2": turns[3],
        }
    values |= {f"ref_answer_{i}": text for i, text in enumerate(references, start=1)}
    return JudgeRequest(
        book.templates[name].fill(values),
        PARAMS,
        protocol(book, name),
        tags={"item_id": rating.item_id, "category": rating.category, "turn": len(turns) // 2},
    )


def read(reply: Reply) -> Reading:
    """The rating, as FastChat's patterns find it, where it lies on the scale."""
    value = parse_score(reply.text)
    if value is None:
        return Reading(unread_state(reply))
    return Reading("ok", value)


def parse_score(text: str) -> float | None:
    """First ``[[x]]``, else first ``[x]``; ``None`` without one, or above 10.

    A 0 counts, as it does in FastChat; a number above 10 (a year, a citation mark) does not, where
    FastChat would take it as the score.
    """
    found = SCORE.search(text) or SCORE_BACKUP.search(text)
    if found is None:
        return None
    value = float(found.group(1))
    return value if value <= 10 else None
