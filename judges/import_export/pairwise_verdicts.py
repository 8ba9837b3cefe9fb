"""Saved pairwise verdicts of any judge, read for their agreement with labels, or imported into the store
(``judges.saved_judge`` answers from it); nobody is asked.

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
from judges.import_export.files import Exchanged, field
from judges.records import Comparison, Verdict
from judges.saved_judge import saved_reply
from judges.store import VerdictStore
from judges.stored_reply import StoredReply

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


def import_pairwise(
    store: VerdictStore, path: Path, *, judge: str | None = None
) -> tuple[Exchanged, list[str]]:
    """Read verdicts into the store, under ``judge`` or each row's own (``JUDGE/STRATEGY``); also returns
    the judges' names. A row needs the texts: ``instruction`` (or ``input``), ``output_1``, ``output_2``.

    Raises:
        JudgeError: a row lacks a field, names no judge, or repeats another's comparison. Nothing is
            stored then.
    """
    stored: list[StoredReply] = []
    left_out: dict[str, int] = {}
    seen: dict[tuple[str, ...], int] = {}
    names: dict[str, int] = {}
    for number, row in numbered_rows(path):
        place = f"{path}:{number}"
        text = "instruction" if "instruction" in row else "input"
        item = Comparison(
            item_id=str(row.get("id", number)),
            instruction=field(row, text, place, str),
            output_1=field(row, "output_1", place, str),
            output_2=field(row, "output_2", place, str),
        )
        name = judge or "/".join(str(row[n]) for n in ("judge", "strategy") if row.get(n))
        if not name:
            raise JudgeError(f"{place}: the row names no judge: give one with --judge")
        names.setdefault(name, number)
        key = (name, item.instruction, item.output_1, item.output_2)
        if key in seen:
            raise JudgeError(f"{place}: the same comparison as in line {seen[key]}")
        seen[key] = number
        for order in ("winner_ab", "winner_ba"):
            verdict = _verdict(row, order, item.item_id, name, place)
            if verdict.value is None:
                left_out["without a verdict"] = left_out.get("without a verdict", 0) + 1
            stored.append(saved_reply(name, item, verdict))
    if not stored:
        raise JudgeError(f"{path}: no verdict")
    store.put(stored)
    return Exchanged(len(stored), left_out), list(names)
