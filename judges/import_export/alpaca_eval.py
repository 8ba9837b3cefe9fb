"""Weighted preferences as alpaca_eval's ``annotations.json``, both ways."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.files import read_json_list, write_json
from judges.errors import JudgeError
from judges.import_export.files import Exchanged, field
from judges.protocols import weighted_preference
from judges.records import Comparison
from judges.reply import read_reply
from judges.request import JudgeRequest
from judges.store import VerdictStore
from judges.stored_reply import StoredReply

ANNOTATORS = {"weighted_alpaca_eval_gpt4_turbo": "gpt-4-1106-preview"}
"""The model behind an annotator's name. Any other annotator's name is taken as its model's."""
TOLERANCE = 1e-6
"""Between a published preference and what its raw reply reads as (files hold ten decimals)."""


def export_alpaca_eval(
    store: VerdictStore,
    path: Path,
    *,
    judge: str,
    comparisons: Sequence[Comparison] | None = None,
    outputs: Path | None = None,
    generators: tuple[str, str] = ("baseline", "model"),
) -> Exchanged:
    """Write one judge's weighted preferences, in the order of the instructions: alpaca_eval finds an
    instruction's difficulty by the row's place, so that a row less or another order moves the LC win
    rate.

    Args:
        judge: the judge's name in the store.
        comparisons: which ones (in this order); else all of the protocol that the store holds.
        outputs: alpaca_eval's ``model_outputs.json`` of the one model that is meant.
        generators: names of the two sides.

    Raises:
        JudgeError: the store holds none, lacks some of ``comparisons``, or holds several models'.
    """
    protocol = weighted_preference.protocol("logprobs", 0)
    left_out: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for stored in _chosen(store, judge, protocol, comparisons):
        item = Comparison(**(stored.tags or {}))
        value = _value(stored, item)
        if value is None:
            left_out["without a preference"] = left_out.get("without a preference", 0) + 1
        else:
            rows.append(_annotation(stored, item, value, generators))
    if outputs is not None:
        rows = _of_outputs(rows, outputs, left_out)
    present = {_identity(row) for row in rows}
    for item in comparisons or ():
        if item.output_1 == item.output_2 and _identity(item) not in present:
            rows.append(_tie(item, judge, generators))
    if not rows:
        raise JudgeError(f"{store.path}: no weighted preference of judge {judge!r}")
    if comparisons is not None:
        place = {_identity(c): i for i, c in enumerate(comparisons)}
        rows.sort(key=lambda row: place[_identity(row)])
    else:
        _one_model(store, rows)
        rows.sort(key=lambda row: row["index"])
    write_json(path, rows)
    return Exchanged(len(rows), left_out)


def _of_outputs(
    rows: Sequence[dict[str, Any]], path: Path, left_out: dict[str, int]
) -> list[dict[str, Any]]:
    """The rows on the answers of alpaca_eval's ``model_outputs.json``, under its name, in its order."""
    wanted = {}
    for number, row in enumerate(read_json_list(path), start=1):
        place = f"{path}: row {number}"
        answer = field(row, "instruction", place, str), field(row, "output", place, str)
        wanted[answer] = number - 1, str(row.get("generator", path.stem))
    chosen = []
    for row in rows:
        if found := wanted.pop((row["instruction"], row["output_2"]), None):
            chosen.append(row | {"index": found[0], "generator_2": found[1]})
    if wanted:
        left_out["answers without a verdict"] = len(wanted)
    return chosen


def _one_model(store: VerdictStore, rows: Sequence[dict[str, Any]]) -> None:
    """alpaca_eval reads one answer for each instruction."""
    several = len(rows) - len({row["instruction"] for row in rows})
    if several:
        raise JudgeError(
            f"{store.path}: {several} instructions have verdicts on answers of several models: name one's "
            "with --model-outputs model_outputs.json, or take annotations.json of its evaluation"
        )


@dataclass(frozen=True)
class ExpectedAnnotations:
    """What a file of annotations must be about.

    Attributes:
        baseline: instruction -> answer of the baseline.
        instructions: what the file must cover, once each.
        allow_missing: take a file that covers only part of ``instructions`` (counted).
    """

    baseline: Mapping[str, str] | None = None
    instructions: Sequence[str] = ()
    allow_missing: bool = False


def import_alpaca_eval(
    store: VerdictStore,
    path: Path,
    *,
    judge: str | None = None,
    expected: ExpectedAnnotations | None = None,
    seed: int = 0,
) -> Exchanged:
    """Read published annotations as verdicts of the judge that made them.

    Each raw reply must read as the row's preference; a row without one is kept as a given value.

    Args:
        judge: the judge's name, else the model behind the rows' annotator.
        expected: the baseline and the instructions that the file must be about.

    Raises:
        JudgeError: a row lacks a field, is of another baseline, occurs twice, contradicts its raw
            reply; instructions are missing. Nothing is stored then.
    """
    expected = expected or ExpectedAnnotations()
    stored: list[StoredReply] = []
    left_out: dict[str, int] = {}
    seen: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(read_json_list(path), start=1):
        place = f"{path}: row {number}"
        item = _comparison(row, place)
        if (key := _identity(item)) in seen:
            raise JudgeError(f"{place}: the same comparison as in row {seen[key]}")
        seen[key] = number
        _of_baseline(item, row, expected.baseline, place)
        preference = row.get("preference")
        reason = _no_use(item, preference)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        annotator = str(row.get("annotator", ""))
        name = judge or ANNOTATORS.get(annotator, annotator)
        if not name:
            raise JudgeError(f"{place}: no annotator; name the judge")
        stored.append(_stored(row, item, float(preference), name, seed, place))  # type: ignore[arg-type]
    covered = {key[0] for key in seen}
    missing = [text for text in expected.instructions if text not in covered]
    if missing and not expected.allow_missing:
        raise JudgeError(
            f"{path}: {len(missing)} of {len(expected.instructions)} instructions have no annotation "
            f"(first: {missing[0][:60]!r})"
        )
    if missing:
        left_out["missing in the file"] = len(missing)
    store.put(stored)
    return Exchanged(len(stored), left_out)


def _chosen(
    store: VerdictStore,
    judge: str,
    protocol: str,
    comparisons: Sequence[Comparison] | None,
) -> list[StoredReply]:
    if comparisons is None:
        rows = store.rows(judge=judge, protocol=protocol)
        latest = {_identity(row.tags or {}): row for row in rows if row.protocol == protocol}
        return list(latest.values())
    asked = [c for c in comparisons if c.output_1 != c.output_2]
    keys = [weighted_preference.request(c, seed=0).key(judge) for c in asked]
    found = store.get(keys, whole=True)
    if missing := sum(key not in found for key in keys):
        raise JudgeError(f"{store.path}: {missing} of {len(keys)} comparisons have no verdict")
    return [found[key] for key in keys]


def _value(stored: StoredReply, item: Comparison) -> float | None:
    value = weighted_preference.read(read_reply(stored.reply, imported=stored.imported)).value
    if value is not None and weighted_preference.is_switched(item.instruction, 0):
        return 3 - value
    return value


def _annotation(
    stored: StoredReply, item: Comparison, value: float, generators: tuple[str, str]
) -> dict[str, Any]:
    choice = stored.reply["choices"][0]
    row = _frame(item, stored.judge, generators) | {
        "preference": value,
        "price_per_example": stored.cost_usd,
    }
    if choice.get("given_preference") is None:
        raw = dict(choice)
        raw["text"] = (choice.get("message") or {}).get("content") or " "
        raw["total_tokens"] = stored.prompt_tokens + stored.completion_tokens
        row["raw_completion"] = raw
    return row


def _frame(item: Comparison, judge: str, generators: tuple[str, str]) -> dict[str, Any]:
    names = {model: annotator for annotator, model in ANNOTATORS.items()}
    return {
        "instruction": item.instruction,
        "output_1": item.output_1,
        "generator_1": generators[0],
        "output_2": item.output_2,
        "generator_2": generators[1],
        "annotator": names.get(judge, judge),
        "index": _number(item.item_id),
    }


def _number(item_id: str) -> int:
    """The place of an instruction: the last number in the item's id."""
    numbers = re.findall(r"\d+", item_id)
    return int(numbers[-1]) if numbers else 0


def _tie(item: Comparison, judge: str, generators: tuple[str, str]) -> dict[str, Any]:
    return _frame(item, judge, generators) | {"preference": 1.5, "raw_completion": None}


def _identity(item: Comparison | Mapping[str, Any]) -> tuple[str, ...]:
    if isinstance(item, Comparison):
        return item.instruction, item.output_1, item.output_2
    return item["instruction"], item["output_1"], item["output_2"]


def _comparison(row: dict[str, Any], place: str) -> Comparison:
    return Comparison(
        item_id=str(row["index"] if isinstance(row.get("index"), int) else _number(place) - 1),
        instruction=field(row, "instruction", place, str),
        output_1=field(row, "output_1", place, str),
        output_2=field(row, "output_2", place, str),
    )


def _of_baseline(
    item: Comparison, row: dict[str, Any], baseline: Mapping[str, str] | None, place: str
) -> None:
    if baseline is None:
        return
    name = row.get("generator_1", "another model")
    if item.instruction not in baseline:
        raise JudgeError(f"{place}: an instruction that the baseline has no answer to")
    if baseline[item.instruction] != item.output_1:
        raise JudgeError(f"{place}: output_1 (of {name!r}) is not the baseline's answer")


def _no_use(item: Comparison, preference: Any) -> str:
    """Why a row is not stored: a gap is no verdict."""
    if item.output_1 == item.output_2 and preference is None:
        return "equal outputs without a preference"
    if not isinstance(preference, int | float) or math.isnan(preference):
        return "without a preference"
    return ""


def _stored(
    row: dict[str, Any], item: Comparison, preference: float, judge: str, seed: int, place: str
) -> StoredReply:
    if not 1 <= preference <= 2 and preference != 0:
        raise JudgeError(f"{place}: preference {preference} is not between 1 and 2")
    request: JudgeRequest = weighted_preference.request(item, seed=seed)
    switched = weighted_preference.is_switched(item.instruction, seed)
    shown = 1.5 if preference == 0 else preference
    shown = 3 - shown if switched else shown
    choice = row.get("raw_completion")
    if isinstance(choice, dict):
        value = weighted_preference.letter_preference(read_reply({"choices": [choice]}))
        if value is None or abs(value - shown) > TOLERANCE:
            raise JudgeError(
                f"{place}: preference {preference} is not what its raw reply reads as "
                f"({value}); another order seed or parser?"
            )
    else:
        choice = {"message": {"content": ""}, "given_preference": shown}
    reply = {"model": judge, "choices": [choice]}
    return StoredReply.of(request, judge, reply, origin="import:alpaca_eval")
