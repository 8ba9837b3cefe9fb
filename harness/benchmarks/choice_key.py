"""The answer key of a multiple-choice row, as files of this trade write it."""

from __future__ import annotations

import re
from typing import Any

from harness.errors import DataError

LETTER = re.compile(r"\s*[(\[]?\s*([A-Za-z])\s*[)\].:]?\s*")


def choice_letter(value: Any, letters: str, where: str) -> str:
    """The key as a capital letter: ``B``, ``b``, ``(B)`` or ``B.`` of the row's ``letters``.

    Raises:
        DataError: anything else; a number is refused because it may count from 0 or from 1.
    """
    found = LETTER.fullmatch(value) if isinstance(value, str) else None
    if found is None or found.group(1).upper() not in letters:
        raise DataError(
            f"{where}: answer {value!r} is outside its {len(letters)} options (a letter "
            f"{letters[0]} to {letters[-1]})"
        )
    return found.group(1).upper()


def choice_index(value: Any, letters: str, where: str) -> int:
    """The key as a number from 0: a whole number (also ``1.0`` or ``"1"``) or a letter.

    Raises:
        DataError: anything else, or a number outside the options.
    """
    if isinstance(value, str) and LETTER.fullmatch(value):
        return letters.index(choice_letter(value, letters, where))
    try:
        number = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number not in range(len(letters)):
        raise DataError(f"{where}: answer {value!r} is outside 0..{len(letters) - 1}")
    return int(number)
