"""One judgment per answer, from files that hold some answer's more than once.

Files of other tools do so where calls failed and were made again (FastChat appends). The rule here: a judgment
that failed is replaced by a later one; of two usable ones the file is refused, unless the user chooses the
``last`` one, or ``all`` (FastChat's own mean over all rows).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Literal, TypeVar

from harness.errors import DataError

Duplicates = Literal["refuse", "last", "all"]
Row = TypeVar("Row")


def settle(
    rows: Sequence[Row],
    key: Callable[[Row], Hashable],
    usable: Callable[[Row], bool],
    rule: Duplicates,
    place: Callable[[Row], str],
) -> list[Row]:
    """One row per key, in the order of first appearance (every usable row with ``all``).

    Raises:
        DataError: two usable rows of one key, with ``refuse``; ``place`` names the later one.
    """
    if rule == "all":
        settled = {key(row) for row in rows if usable(row)}
        return [row for row in rows if usable(row) or key(row) not in settled]
    found: dict[Hashable, Row] = {}
    for row in rows:
        earlier = found.get(key(row))
        if earlier is not None and usable(earlier) and not usable(row):
            continue
        if earlier is not None and usable(earlier) and rule == "refuse":
            raise DataError(f"{place(row)} is judged twice (--duplicates last or all)")
        found[key(row)] = row
    return list(found.values())
