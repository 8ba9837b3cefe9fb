"""How much better is one of two answers, in five steps, asked in both orders (Arena-Hard's way of asking).

Source: Li et al. 2024 (arXiv 2406.11939) and the authors' arena-hard-auto. Verdicts about the answers shown as A and B:
``[[A>>B]]``, ``[[A>B]]``, ``[[A=B]]``, ``[[B>A]]``, ``[[B>>A]]``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from judges.errors import JudgeError
from judges.prompts import Template
from judges.records import Comparison
from judges.reply import Reading, Reply, unread_state
from judges.request import JudgeRequest, text_digest

OWN_PROMPT = Path(__file__).parents[1] / "data" / "five_way_prompt.yaml"
PARAMS = {"temperature": 0, "max_tokens": 4096}
MARKS = {"A>>B": 1.0, "A>B": 1.25, "A=B": 1.5, "B>A": 1.75, "B>>A": 2.0}
REMINDER = 'Give only your verdict now: "[[A>>B]]", "[[A>B]]", "[[A=B]]", "[[B>A]]" or "[[B>>A]]".'


@dataclass(frozen=True)
class FiveWayPrompt:
    """The template, and the protocol id that names its source and wording."""

    template: Template
    protocol: str


@cache
def five_way_prompt(path: Path | None = None) -> FiveWayPrompt:
    """The prompt of an Arena-Hard ``judge_config.yaml``, else our own wording.

    Raises:
        JudgeError: the file is no YAML, or holds no system prompt and template with the places
            ``{question_1}``, ``{answer_1}``, ``{answer_2}`` (or ``{QUESTION}``, ``{ANSWER_A}``, ``{ANSWER_B}``).
    """
    source, path = ("own", OWN_PROMPT) if path is None else ("arena-hard", path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise JudgeError(f"{path}: {' '.join(str(error).split())[:200]}") from None
    raw = raw if isinstance(raw, Mapping) else {}
    system, user = raw.get("system_prompt"), raw.get("prompt_template")
    user = user[0] if isinstance(user, list) and len(user) == 1 else user
    if not isinstance(system, str) or not isinstance(user, str) or not _has_places(user):
        raise JudgeError(
            f"{path}: no five-way prompt (system_prompt, and prompt_template with the places "
            "{question_1}, {answer_1}, {answer_2})"
        )
    template = Template("five-way", system, user)
    return FiveWayPrompt(template, f"five-way/{source}-{text_digest(system + user)}")


def _has_places(text: str) -> bool:
    older = ("{question_1}", "{answer_1}", "{answer_2}")
    newer = ("{QUESTION}", "{ANSWER_A}", "{ANSWER_B}")
    return any(all(place in text for place in places) for places in (older, newer))


def requests(comparison: Comparison, prompt: FiveWayPrompt) -> tuple[JudgeRequest, JudgeRequest]:
    """The two requests: outputs as given, and swapped."""
    return _request(comparison, prompt, False), _request(comparison, prompt, True)


def _request(comparison: Comparison, prompt: FiveWayPrompt, swapped: bool) -> JudgeRequest:
    answers = (comparison.output_1, comparison.output_2)
    first, second = answers[swapped], answers[not swapped]
    values = {
        **{"question_1": comparison.instruction, "answer_1": first, "answer_2": second},
        **{"QUESTION": comparison.instruction, "ANSWER_A": first, "ANSWER_B": second},
    }
    tags: dict[str, Any] = {**comparison.model_dump(exclude={"v"}), "swapped": swapped}
    return JudgeRequest(prompt.template.fill(values), PARAMS, prompt.protocol, tags=tags)


def read(reply: Reply) -> Reading:
    """1 (A much better), 1.25, 1.5 (equal), 1.75 or 2 (B much better) about the answers shown.

    A reply with two different verdicts has none, as in the authors' script.
    """
    found = set(re.findall(r"\[\[([AB<>=]+)\]\]", reply.text)) & set(MARKS)
    if len(found) != 1:
        return Reading(unread_state(reply))
    return Reading("ok", MARKS[found.pop()])


def graded(preference: float) -> float:
    """The step of the five that a preference 1..2 falls into."""
    for bound, step in ((1.2, 1.0), (1.45, 1.25), (1.55, 1.5), (1.8, 1.75)):
        if preference <= bound:
            return step
    return 2.0
