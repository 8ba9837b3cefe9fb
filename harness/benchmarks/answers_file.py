"""``outputs.jsonl``: the raw answers of one evaluation, one per line, enough to score them again.

A line holds ``question``, what was asked in words (without the examples before it), for reports. A
line of an objective benchmark holds ``item_id``, ``category``, ``task``, ``target`` (what scoring
needs), ``output`` (raw text) or ``logprobs``, ``prompt_hash`` (sha256 of the prompt as the model
read it), ``shots``, ``truncated``, ``reasoning_opened`` (the prompt ended in an opening tag of a
reasoning section), ``error`` and token counts. Answers to a gated benchmark are
stored as ``sealed``: scrambled, so that no search or crawler meets its text; their questions are not
stored.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from groundwork.files import write_json_lines
from groundwork.reasoning import SplitText, split_reasoning
from harness.data.sources import numbered_rows
from harness.errors import DataError
from leaderboards.records import ReasoningState

OUTPUTS = "outputs.jsonl"


def text_hash(text: str) -> str:
    """sha256 of a prompt; equals ``prompt_hash`` in the samples that lm-eval logs."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def final_answer(row: Mapping[str, Any]) -> SplitText:
    """A saved answer without its reasoning sections, which no grader and no judge sees."""
    return split_reasoning(str(row.get("output") or ""), opened=bool(row.get("reasoning_opened")))


def reasoning_state(answer: SplitText) -> ReasoningState:
    """``unclosed`` where the text ends inside its reasoning, ``closed`` where an answer follows."""
    return "unclosed" if answer.unclosed else "closed" if answer.reasoning else ""


def write_outputs(folder: Path, rows: Sequence[Mapping[str, Any]], *, sealed: bool = False) -> None:
    """Put ``outputs.jsonl`` in place atomically; ``sealed`` scrambles the answers."""
    if sealed:
        rows = [_sealed(row) for row in rows]
    write_json_lines(folder / OUTPUTS, rows)


def read_outputs(folder: Path, item_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The saved answers in the order of ``item_ids``.

    Raises:
        UserError: no outputs, or an item without one.
    """
    path = folder / OUTPUTS
    if not path.is_file():
        raise UserError(f"{folder} holds no {OUTPUTS}: generate the answers first")
    rows = {str(row["item_id"]): row for row in read_saved(path)}
    lacking = [item_id for item_id in item_ids if item_id not in rows]
    if lacking:
        raise UserError(f"{path} has no answer for {lacking[0]} and {len(lacking) - 1} more")
    return [rows[item_id] for item_id in item_ids]


def read_saved(path: Path) -> list[dict[str, Any]]:
    """All lines of an ``outputs.jsonl``, sealed answers opened; raises as ``saved_lines`` does."""
    return [row for _, row in saved_lines(path)]


def saved_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """As ``read_saved``, each with its line number.

    Raises:
        DataError: a line that can't be read (file and line).
    """
    return [(n, _opened(row, f"{path}:{n}")) for n, row in numbered_rows(path)]


def _sealed(row: Mapping[str, Any]) -> dict[str, Any]:
    from harness.engines.resumable import seal

    kept = {key: value for key, value in row.items() if key not in ("output", "question")}
    return {**kept, "sealed": seal(str(row.get("output", "")), str(row["item_id"]))}


def _opened(row: dict[str, Any], where: str) -> dict[str, Any]:
    if "sealed" not in row:
        return row
    from harness.engines.resumable import unseal

    try:
        text = unseal(row["sealed"], str(row["item_id"]))
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise DataError(f"{where}: the sealed answer can't be opened") from error
    return {**row, "output": text}
