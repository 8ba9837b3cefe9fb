"""GSM8K: reading a number off an answer, and comparing numbers. Pure functions.

``strict`` and ``flexible`` are the two extractions of lm-eval's task ``gsm8k``, which the task's own
filters apply; the functions here are for the ways that lm-eval does not have.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?|-?\$?\.\d+")
MARKS = (
    re.compile(r"####"),
    re.compile(r"\\boxed\s*\{"),
    re.compile(r"answer\s*(?:is|:|=)[\s:=]*", re.IGNORECASE),
)


def after_answer_colon(text: str) -> str | None:
    """What follows the last ``A: `` (the mark of OpenAI's own solutions), tidied.

    Commas and one full stop at the end go; ``None`` where there is no mark.
    """
    if "A: " not in text:
        return None
    return text.rsplit("A: ", 1)[1].strip().replace(",", "").removesuffix(".")


def final_number(text: str) -> str | None:
    """The number after the last mark of an answer (``####``, ``\\boxed``, "the answer is"), else the
    last number of the text; ``None`` where there is none."""
    for mark in MARKS:
        for place in reversed(list(mark.finditer(text))):
            rest = text[place.end() :].lstrip().split("\n", 1)[0]
            number = NUMBER.search(rest)
            if number:
                return number.group()
    numbers = NUMBER.findall(text)
    return str(numbers[-1]) if numbers else None


def normalised(number: str) -> str:
    """A number without currency, thousands separators, percent sign and trailing zeros.

    >>> normalised("$1,250.50")
    '1250.5'
    """
    plain = re.sub(r"[,$€£%\s]", "", number).rstrip(".")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        return plain
    if not value.is_finite():
        return plain
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def same_number(given: str, key: str) -> bool:
    """Whether two numbers are the same once normalised."""
    return normalised(given) == normalised(key)


def key_of(solution: str) -> str | None:
    """The answer of a GSM8K solution: what follows ``####`` (or ``A:``)."""
    for mark in ("####", "A:"):
        if mark in solution:
            return solution.rsplit(mark, 1)[1].strip()
    return None
