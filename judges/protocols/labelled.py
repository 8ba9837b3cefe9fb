"""Pairs whose better side people (or a benchmark) have named: what a judge itself is scored on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.conversations import read_preference, transcript
from groundwork.files import numbered_rows
from groundwork.reasoning import split_reasoning
from judges.errors import JudgeError
from judges.records import Comparison

TIE = 0


@dataclass(frozen=True)
class LabelledPair:
    """A comparison and one label per annotator: 1 or 2 for the better output, 0 for a tie.

    ``subset`` names the part of a data set that it belongs to.
    """

    comparison: Comparison
    labels: tuple[int, ...]
    subset: str = ""

    @property
    def majority(self) -> int | None:
        """The label of more than half of the annotators, ``None`` without one."""
        label, count = Counter(self.labels).most_common(1)[0]
        return label if 2 * count > len(self.labels) else None


def load_labelled(path: Path) -> list[LabelledPair]:
    """Pairs of a file in one of three schemas, distinguished by the fields of each row.

    - RewardBench and preference data (JSONL): ``prompt``, ``chosen``, ``rejected``; the chosen side
      alternates between output_1 and output_2, so that a judge with a favourite place gains nothing.
      A row of RewardBench 2 (lists of texts on both sides) is every chosen text against every other.
    - PandaLM (JSON list): ``instruction``, ``input``, ``response1``, ``response2``, ``annotator1``..3.
    - General (JSONL): ``instruction``, ``output_1``, ``output_2``, ``labels`` (list) or ``label``.

    Raises:
        UserError: unreadable, another schema, a bad row (file and line), an item twice.
    """
    rows = [
        (number, single) for number, row in numbered_rows(path) for single in _single_pairs(row)
    ]
    if not rows:
        raise JudgeError(f"{path}: no labelled pairs")
    pairs: list[LabelledPair] = []
    seen: set[str] = set()
    for count, (number, row) in enumerate(rows, start=1):
        place = f"{path}:{number}"
        try:
            pair = _pair(row, count)
        except KeyError as error:
            raise JudgeError(f"{place}: no field {error}") from None
        except (TypeError, ValueError) as error:
            raise JudgeError(f"{place}: {str(error).splitlines()[0]}") from None
        if pair.comparison.item_id in seen:
            raise JudgeError(f"{place}: item {pair.comparison.item_id!r} occurs twice")
        seen.add(pair.comparison.item_id)
        pairs.append(pair)
    return pairs


def _pair(row: dict[str, Any], number: int) -> LabelledPair:
    if "annotator1" in row:
        return _pandalm(row)
    if "chosen" in row:
        return _preference(row, number)
    labels = row["labels"] if "labels" in row else [row["label"]]
    comparison = Comparison(
        item_id=str(row.get("id", number)),
        instruction=row["instruction"],
        output_1=split_reasoning(row["output_1"]).answer,
        output_2=split_reasoning(row["output_2"]).answer,
    )
    return LabelledPair(comparison, _labels(labels), str(row.get("subset", "")))


def _pandalm(row: dict[str, Any]) -> LabelledPair:
    instruction = row["instruction"] + (f"\n\n{row['input']}" if row["input"] else "")
    # One published response is the JSON value false: the text of that answer.
    outputs = [
        json.dumps(row[name]) if isinstance(row[name], bool) else split_reasoning(row[name]).answer
        for name in ("response1", "response2")
    ]
    comparison = Comparison(
        item_id=str(row["idx"]), instruction=instruction, output_1=outputs[0], output_2=outputs[1]
    )
    return LabelledPair(comparison, _labels([row[f"annotator{i}"] for i in (1, 2, 3)]))


def _single_pairs(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The row itself, or a row of RewardBench 2 as one row per pair of texts."""
    sides = row.get("chosen"), row.get("rejected")
    lists = [
        side if isinstance(side, list) and side and all(isinstance(x, str) for x in side) else None
        for side in sides
    ]
    if lists[0] is None or lists[1] is None:
        return [row]
    combined = [(chosen, rejected) for chosen in lists[0] for rejected in lists[1]]
    name = row.get("id", "pair")
    return [
        {**row, "id": f"{name}/{n}", "chosen": chosen, "rejected": rejected}
        for n, (chosen, rejected) in enumerate(combined)
    ]


def _preference(row: dict[str, Any], number: int) -> LabelledPair:
    """A pair of RewardBench's schema: the whole conversation before the answers is the instruction."""
    for field in ("chosen", "rejected"):
        row[field]  # a KeyError names the field, as in the other schemas
    pair = read_preference(row, f"pair {number}")
    outputs = [split_reasoning(text).answer for text in (pair.chosen, pair.rejected)]
    first = number % 2 == 1
    comparison = Comparison(
        item_id=str(row.get("id", number)),
        instruction=transcript(pair.prompt),
        output_1=outputs[not first],
        output_2=outputs[first],
    )
    return LabelledPair(comparison, (1 if first else 2,), str(row.get("subset", "")))


def _labels(values: Sequence[Any]) -> tuple[int, ...]:
    if not values:
        raise ValueError("no label")
    for value in values:
        if value not in (0, 1, 2):
            raise ValueError(f"label {value!r} is none of 0 (tie), 1, 2")
    return tuple(int(value) for value in values)
