r"""The letter of a multiple-choice answer, read off written text. Pure functions, linear in the text.

For this project's own protocols; the extractions of lm-eval and of MMLU-Pro's authors stand beside
them unchanged.
"""

from __future__ import annotations

import re

from harness.data.boxed import boxed_spans

MARKS = 50
"""Places of one mark that are tried, from the end: bounds the time on degenerate answers."""
NOISE = r"[\s:=*_~`\"'$\\]{0,12}+(?:(?:text|mathrm|mathbf|textbf|boxed|fbox)\s?\{)?[*_$\s]{0,4}+"
STATED = re.compile(
    r"(?:answer|choice|option)s?\s{0,3}(?:\*\*|__)?\s{0,3}"
    r"(?:(?:would|should|must|has\sto|is\slikely\sto|is\sgoing\sto)\s{1,3}be|is|was|seems|:|=|-)"
    r"(?:\s{1,3}(?:therefore|thus|hence|clearly|indeed|likely|probably|most\slikely))?"
    r"(?:\s{1,3}(?:option|choice|letter|answer|the\sletter))?" + NOISE,
    re.IGNORECASE,
)
BRACKETED = re.compile(r"(?<!\w)[(\[]\s?([A-Za-z])\s?[)\]]")
EMPHASISED = re.compile(r"(?:\*\*|__)[\s(\[]{0,2}([A-Za-z])[\s.)\]:]{0,3}(?:\*\*|__)")
ALONE = re.compile(r"(?<![\w'’-])([A-Z])(?![\w'’-])")
LEADING = re.compile(r"[\s*_$\\(\[`\"']{0,12}+([A-Za-z])(?:[)\]*_`\"'$]{0,6}+)(?:[.:),;]|\s|$)")
REASON = re.compile(r"\s{1,3}(?:because|since|as|due|given|for|and|which|with|based|in)\b")
WORD = re.compile(r"\s{1,3}[a-z’']")
END = re.compile(r"[)\]}*_$`\"'\s.,;:!]*+$|[)\]}*_$`\"'\\]{0,6}+\s{0,3}(?:[.,;:!?)\]}\n]|$)")


def answer_letter(text: str, letters: str) -> str | None:
    r"""The letter of ``letters`` that an answer gives; ``None`` where it gives none.

    In this order: the last stated answer ("the answer is (C)", "Answer: C", ``\boxed{C}``), an
    answer that consists of or begins with its letter ("C", "(C) because", "C. Paris"), the last
    bracketed letter, the last emphasised one (``**C**``), the last capital letter that stands alone.
    The article "A" and the pronoun "I" are no answers.
    """
    stated = _stated(text)
    if stated is not None:
        return stated if stated in letters else None  # a letter that is no option is no answer
    for read in (_leading, _bracketed, _emphasised, _alone):
        found = read(text, letters)
        if found is not None:
            return found
    return None


def _stated(text: str) -> str | None:
    found: list[tuple[int, str]] = []
    for mark in list(STATED.finditer(text))[: -MARKS - 1 : -1]:
        letter = _letter_at(text, mark.end())
        if letter is not None:
            found.append((mark.end(), letter))
            break
    for begin, end in boxed_spans(text)[: -MARKS - 1 : -1]:
        content = re.sub(r"\\(?:text|mathrm|mathbf|textbf)\b|[{}$*]", "", text[begin:end][:400])
        opening = LEADING.match(content.strip())
        if opening and (opening.end() == len(content.strip()) or not _is_word(content.strip(), 0)):
            found.append((begin, opening.group(1).upper()))
            break
    return max(found)[1] if found else None


def _letter_at(text: str, begin: int) -> str | None:
    """The letter that a statement continues with, if it is one and no word."""
    bracketed = BRACKETED.match(text, begin)
    if bracketed:
        return bracketed.group(1).upper()
    letter = text[begin : begin + 1]
    if not (letter.isascii() and letter.isalpha()):
        return None
    rest = text[begin + 1 : begin + 40]
    if END.match(rest):
        return letter.upper()
    if letter.islower() or rest[:1].isalnum() or rest[:1] in "'’-":
        return None
    if letter in "AI" and WORD.match(rest) and not REASON.match(rest):
        return None  # "the answer is A good way", "answer: I think"
    return letter


def _is_word(text: str, begin: int) -> bool:
    """Whether the letter there is the article "A" or the pronoun "I" of a sentence."""
    letter, rest = text[begin : begin + 1], text[begin + 1 : begin + 40]
    return letter in "AaIi" and bool(WORD.match(rest)) and not REASON.match(rest)


def _leading(text: str, letters: str) -> str | None:
    opening = LEADING.match(text)
    if opening is None or opening.group(1).upper() not in letters:
        return None
    letter, after = opening.group(1), text[opening.end(1) : opening.end(1) + 40]
    marked = bool(text[: opening.start(1)].strip()) or after[:1] in ".):,*]"
    whole = not text[opening.end(1) :].strip(" \t\n.)]}*_$`\"':")
    if letter.islower() and not (whole or marked):
        return None
    if whole or marked or REASON.match(after) or "\n" in text[opening.end(1) : opening.end()]:
        return letter.upper()
    return None


def _bracketed(text: str, letters: str) -> str | None:
    capitals = [m.group(1) for m in BRACKETED.finditer(text) if m.group(1) in letters]
    return capitals[-1] if capitals else None


def _emphasised(text: str, letters: str) -> str | None:
    found = [m.group(1).upper() for m in EMPHASISED.finditer(text)]
    found = [letter for letter in found if letter in letters]
    return found[-1] if found else None


def _alone(text: str, letters: str) -> str | None:
    last = None
    for match in ALONE.finditer(text):
        if match.group(1) in letters and not _is_word(text, match.start()):
            last = match.group(1)
    return last
