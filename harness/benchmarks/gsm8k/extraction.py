r"""GSM8K: reading a number off an answer, and comparing numbers. Pure functions, linear in the text.

``strict`` and ``flexible`` are the two extractions of lm-eval's task ``gsm8k``, which the task's own
filters apply; the functions here are for the ways that lm-eval does not have.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from harness.data.boxed import boxed_spans

GROUPED = r"\d{1,3}(?:,\d{3})+(?!\d)|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)|\d+"
NUMBER = re.compile(rf"(?:(?<![\w)])-\s?)?\$?(?:(?<=\$)\s?-?\s?)?(?:(?:{GROUPED})(?:\.\d+)?|\.\d+)")
FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?[\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}")
POWER = re.compile(r"\s?(?:\\times|\\cdot|×|\*|x)\s?10\s?\^\s?\{?\s?(-?\d{1,3})\}?")
QUOTIENT = re.compile(r"\s?/\s?(\d+(?:\.\d+)?)(?![\d/])")
STATED = re.compile(
    r"(?:final\s{1,3})?answer\s{0,3}(?:\*\*|__)?\s{0,3}(?:would\s{1,3}be|is|=)(?![a-z])[\s:=*_]{0,9}+"
    r"(?!\b(?:based|not|between)\b)",
    re.IGNORECASE,
)
LABEL = re.compile(r"answer\s{0,3}(?:\*\*|__)?\s{0,3}:[\s:=*_]{0,9}", re.IGNORECASE)
HASHES = re.compile(r"####[\s:=*_]{0,9}")
WORDS_AFTER_HASHES = re.compile(r"(?:the\s)?(?:final\s)?answer\s{0,3}(?:is)?[\s:*_]{0,9}", re.I)
ENUMERATED = re.compile(r"\d{1,2}[.):]\s{1,3}[^\d\s$-]")
REASON = re.compile(r"\b(?:because|since|as|so|where|which|after|with|given)\b|[;(]", re.IGNORECASE)
OPERATOR = re.compile(r"(?<=\d)\s?[-+*/×÷x]\s?\$?\d|\\times|\\cdot")
LATER_SUM = re.compile(r"=\s?\$?-?\d")
SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
CALCULATION = re.compile(r"<<[^<>\n]{0,200}>>")
LINE = 400
"""Characters after a mark that are read: far more than a number and its unit."""
MARKS = 50
"""Places of one mark that are tried, from the end: bounds the time on degenerate answers."""
MINUS_SIGNS = str.maketrans({"−": "-", "﹣": "-", "－": "-", "‐": "-", "‑": "-"})
SPACES = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009\u2007", " "))
LATEX_GROUPS = re.compile(r"(?<=\d)(?:\{,\}|\\[,;:! ]|~|\{\\,\})(?=\d{3}(?!\d))")
SPACE_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d.,]?\d)")
DECORATION = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox|displaystyle|left|right)\b|[{}]|\*\*")


def after_answer_colon(text: str) -> str | None:
    """The text after the last ``A: `` (the mark of OpenAI's own solutions), tidied.

    Commas and one full stop at the end go; ``None`` where there is no mark.
    """
    if "A: " not in text:
        return None
    return text.rsplit("A: ", 1)[1].strip().replace(",", "").removesuffix(".")


def final_number(text: str) -> str | None:
    r"""The final answer of a worked solution, ``None`` where the text has no number.

    The last stated answer counts: the number after ``####``, inside ``\boxed{}``, after "the answer
    is", or after the label "Answer:" where its line holds the answer and no first step of more to
    come. Of an equation its right side counts. Headings (``#### Step 1``, ``#### 2. Cost``) and
    calculator marks (``<<2+3=5>>``) are passed over. Without a stated answer it is the last number.
    """
    plain = _plain(text)
    stated = [*_boxed(plain), *_after_hashes(plain), *_after_phrases(plain)]
    if stated:
        return max(stated)[1]
    last = None
    for match in NUMBER.finditer(plain):
        last = match
    return None if last is None else _value(plain, last)


def _plain(text: str) -> str:
    """The text with one minus sign, plain spaces, digit groups joined by commas, and no marks of a
    calculator."""
    text = text.translate(MINUS_SIGNS).translate(SPACES).replace("\\$", "$").replace("\\%", "%")
    text = CALCULATION.sub("", text)
    text = LATEX_GROUPS.sub(",", text)
    return SPACE_GROUPS.sub(lambda found: found.group().replace(" ", ","), text)


def _boxed(text: str) -> list[tuple[int, str]]:
    """(position, number) of the last box that holds a number."""
    for begin, end in boxed_spans(text)[: -MARKS - 1 : -1]:
        number = _of_statement(text[begin:end][:LINE])
        if number is not None:
            return [(begin, number)]
    return []


def _after_hashes(text: str) -> list[tuple[int, str]]:
    """(position, number) of the last ``####`` whose line starts with a number."""
    for mark in _latest(HASHES, text):
        rest = text[mark.end() : mark.end() + LINE].split("\n", 1)[0]
        rest = rest[words.end() :] if (words := WORDS_AFTER_HASHES.match(rest)) else rest
        first = NUMBER.search(rest) or FRACTION.search(rest)
        starts = first is not None and not rest[: first.start()].strip(" $*_~≈(\\")
        if starts and not ENUMERATED.match(rest):
            number = _of_statement(rest)
            if number is not None:
                return [(mark.end(), number)]
    return []


def _after_phrases(text: str) -> list[tuple[int, str]]:
    """(position, number) of the last "the answer is", and of the last label "Answer:" that is no
    heading above further steps."""
    found = []
    for mark in _latest(STATED, text):
        number = _of_statement(_sentence(text, mark.end()))
        if number is not None:
            found.append((mark.end(), number))
            break
    for mark in _latest(LABEL, text):
        sentence = _sentence(text, mark.end())
        number = _of_statement(sentence)
        if number is not None and not _is_heading(sentence, text, mark.end() + len(sentence)):
            found.append((mark.end(), number))
            break
    return found


def _is_heading(sentence: str, text: str, end: int) -> bool:
    """Whether the sentence behind a label is a first step, with the answer further down."""
    number = NUMBER.search(sentence)
    begins = number is not None and not sentence[: number.start()].strip(" $*_~≈(\\")
    if number and begins and "=" not in sentence and not OPERATOR.match(sentence, number.end()):
        return False  # the bare answer; any sums below explain it
    calculates = "=" in sentence or OPERATOR.search(sentence)
    return bool(LATER_SUM.search(text, end) or (calculates and NUMBER.search(text, end)))


def _latest(mark: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """The last places of a mark, latest first."""
    return list(mark.finditer(text))[: -MARKS - 1 : -1]


def _sentence(text: str, begin: int) -> str:
    rest = text[begin : begin + LINE]
    end = SENTENCE_END.search(rest)
    return rest[: end.start()] if end else rest


def _of_statement(statement: str) -> str | None:
    """The number that a statement gives: of an equation the right side, else its first number."""
    reason = REASON.search(statement)
    if reason and NUMBER.search(statement, 0, reason.start()):
        statement = statement[: reason.start()]
    fraction = FRACTION.search(statement)
    parts = statement.split("=")
    for part in reversed(parts):
        fraction = FRACTION.search(part)
        if fraction and not NUMBER.search(part, 0, fraction.start()):
            return _quotient(fraction.group(1), fraction.group(2), part[: fraction.start()])
        bare = DECORATION.sub("", part)
        number = NUMBER.search(bare)
        if number:
            return _value(bare, number)
    return None


def _value(text: str, number: re.Match[str]) -> str:
    """The number as written, with a power of ten or a denominator behind it worked out."""
    power = POWER.match(text, number.end())
    if power:
        return _shown(Decimal(normalised(number.group())).scaleb(int(power.group(1))))
    quotient = QUOTIENT.match(text, number.end())
    if quotient and "." not in number.group():
        return _quotient(number.group(), quotient.group(1), "")
    return number.group()


def _quotient(over: str, under: str, sign: str) -> str:
    try:
        value = Decimal(normalised(over)) / Decimal(normalised(under))
    except (InvalidOperation, ZeroDivisionError):
        return over
    return _shown(-value if sign.rstrip(" $").endswith("-") else value)


def _shown(value: Decimal) -> str:
    return format(value.normalize(), "f") if value.is_finite() else str(value)


def normalised(number: str) -> str:
    """A number without currency, thousands separators, percent sign and trailing zeros.

    >>> normalised("$1,250.50")
    '1250.5'
    """
    plain = re.sub(r"[,$€£%\s]", "", number.translate(MINUS_SIGNS)).rstrip(".")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        return plain
    if not value.is_finite() or value.adjusted() > 500:
        return plain
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def same_number(given: str, key: str) -> bool:
    """Whether two numbers are the same once normalised."""
    return normalised(given) == normalised(key)


def key_of(solution: str) -> str | None:
    """The answer of a GSM8K solution: the text after ``####`` (or ``A:``)."""
    for mark in ("####", "A:"):
        if mark in solution:
            return solution.rsplit(mark, 1)[1].strip()
    return None
