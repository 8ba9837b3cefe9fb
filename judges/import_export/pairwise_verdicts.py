"""Saved pairwise verdicts of any judge, read for their agreement with labels; nobody is asked.

One JSON object per line (or a list): ``id``, and the verdicts in both orders as ``winner_ab`` and
``winner_ba``, already about the outputs as given: 1, 2, 0 or "tie"; anything else is no verdict.
``judge`` and ``strategy`` name who judged and how. LLMBar's published files have this form.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.files import numbered_rows
from judges.errors import JudgeError
from judges.import_export.files import field
from judges.records import Verdict

VALUES = {"1": 1.0, "2": 2.0, "0": 1.5, "tie": 1.5}


@dataclass(frozen=True)
class SavedJudge:
    """Who gave the saved verdicts: what ``agreement_of`` needs of a judge."""

    name: str
    snapshot: str


def read_pairwise(path: Path) -> tuple[SavedJudge, dict[str, tuple[Verdict, Verdict]]]:
    """The judge, and both verdicts by item id.

    Raises:
        UserError: a line lacks a field, an item comes twice, or several judges are in the file.
    """
    found: dict[str, tuple[Verdict, Verdict]] = {}
    judges: dict[str, int] = {}
    for number, row in numbered_rows(path):
        place = f"{path}:{number}"
        item = str(field(row, "id", place, (str, int)))
        names = [str(row[name]) for name in ("judge", "strategy") if row.get(name)]
        judges.setdefault("/".join(names) or path.stem, number)
        if item in found:
            raise JudgeError(f"{place}: item {item!r} occurs twice")
        if len(judges) > 1:
            raise JudgeError(f"{place}: verdicts of several judges ({', '.join(judges)}): split it")
        judge = next(iter(judges))
        found[item] = (
            _verdict(row, "winner_ab", item, judge, place),
            _verdict(row, "winner_ba", item, judge, place),
        )
    if not found:
        raise JudgeError(f"{path}: no verdict")
    name = next(iter(judges))
    return SavedJudge(name, f"saved:{name}"), found


def _verdict(row: dict[str, Any], name: str, item: str, judge: str, place: str) -> Verdict:
    if name not in row:
        raise JudgeError(f"{place}: no field {name!r}")
    value = VALUES.get(str(row[name]).strip().lower())
    return Verdict(
        item_id=item,
        kind="pairwise",
        judge=judge,
        protocol="saved",
        state="unparsed" if value is None else "ok",
        value=value,
        swapped=name == "winner_ba",
        raw=str(row.get(name.replace("winner", "completion"), "")),
    )
