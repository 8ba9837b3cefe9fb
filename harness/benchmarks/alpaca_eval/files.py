"""AlpacaEval's files, in the package's own formats.

Read from the data source: the instructions with the baseline's answers (a list of ``instruction``,
``output``, ``generator``, ``dataset``), the gamed baselines' rows (``df_gamed.csv``). Written into
the evaluation's folder: ``model_outputs.json`` and ``annotations.json``, which ``alpaca_eval`` reads
as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from groundwork.files import read_bytes
from harness.benchmarks.alpaca_eval.length_control import GamedRows
from harness.data.sources import numbered_rows, read_rows
from harness.errors import DataError

BASELINE_FILES = (
    "alpaca_eval/gpt4_1106_preview_model_outputs.json",
    "alpaca_eval/alpaca_eval_gpt4_baseline.json",
    "alpaca_eval/sample_baseline_outputs.json",
)
"""Instructions and baseline answers; the first that the data source has."""
GAMED_FILES = ("alpaca_eval/df_gamed.csv", "alpaca_eval/df_gamed_reconstructed.csv")
"""The gamed rows: the official file, else the one re-derived from published weights."""


@dataclass(frozen=True)
class Instruction:
    """One instruction with the baseline's answer; ``index`` is its position in the full set."""

    index: int
    instruction: str
    dataset: str
    baseline_output: str
    baseline: str

    @property
    def item_id(self) -> str:
        """Stable over sub-samples: the position in the full set."""
        return f"alpaca_eval/{self.index}"


def read_instructions(path: Path) -> list[Instruction]:
    """The instructions of a baseline's ``model_outputs.json``.

    Raises:
        DataError: a row without ``instruction`` or ``output``, or an instruction that comes twice.
    """
    found: list[Instruction] = []
    seen: dict[str, int] = {}
    for index, row in enumerate(read_rows(path)):
        for key in ("instruction", "output"):
            if not isinstance(row.get(key), str) or not row[key]:
                raise DataError(f"{path}: entry {index} has no {key!r}")
        text = row["instruction"]
        if text in seen:
            raise DataError(f"{path}: entries {seen[text]} and {index} are the same instruction")
        seen[text] = index
        found.append(
            Instruction(
                index=index,
                instruction=text,
                dataset=str(row.get("dataset") or ""),
                baseline_output=row["output"],
                baseline=str(row.get("generator") or "baseline"),
            )
        )
    if not found:
        raise DataError(f"{path}: holds no instruction")
    return found


@dataclass(frozen=True)
class LengthControl:
    """The gamed rows and every instruction's difficulty by its index; ``origin`` names the file."""

    gamed: GamedRows
    difficulty: dict[int, float]
    origin: str


@lru_cache(maxsize=4)
def read_length_control(path: Path) -> LengthControl:
    """``df_gamed.csv``: preference (0..1), index, std_delta_len, instruction_difficulty a row.

    Raises:
        DataError: a missing column, or a cell that is no number or out of range (file and line).
    """
    columns = ("preference", "std_delta_len", "instruction_difficulty")
    values: dict[str, list[float]] = {name: [] for name in columns}
    difficulty: dict[int, float] = {}
    for line, row in numbered_rows(path, required=(*columns, "index")):
        try:
            numbers = {name: float(row[name]) for name in columns}
            index = int(row["index"])
        except ValueError:
            raise DataError(f"{path}:{line}: a cell is not a number") from None
        if not 0 <= numbers["preference"] <= 1:
            raise DataError(f"{path}:{line}: preference {numbers['preference']} is outside 0..1")
        for name, number in numbers.items():
            values[name].append(number)
        difficulty.setdefault(index, numbers["instruction_difficulty"])
    if not difficulty:
        raise DataError(f"{path}: holds no row")
    gamed = GamedRows(*(np.array(values[name], dtype=np.float64) for name in columns))
    digest = hashlib.sha256(read_bytes(path)).hexdigest()[:12]
    return LengthControl(gamed, difficulty, f"{path.name}@{digest}")


def read_annotations(path: Path) -> list[dict[str, Any]]:
    """Saved judgments in alpaca_eval's format, checked.

    Raises:
        DataError: a missing field or a preference that is neither null, 0 nor 1..2 (entry named).
    """
    rows = read_rows(path)
    for number, row in enumerate(rows):
        for key in ("instruction", "output_1", "output_2"):
            if not isinstance(row.get(key), str):
                raise DataError(f"{path}: entry {number} has no {key!r}")
        preference = row.get("preference")
        if "preference" not in row or isinstance(preference, str | bool | list | dict):
            raise DataError(f"{path}: entry {number} has no usable 'preference'")
        if preference is not None and preference != 0 and not 1 <= preference <= 2:
            raise DataError(f"{path}: entry {number} has preference {preference}, outside 1..2")
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A JSON list, one object per line, put in place atomically."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    temporary.replace(path)
