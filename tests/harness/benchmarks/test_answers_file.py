"""Saved answers: sealed where the benchmark is gated, without their reasoning when read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.benchmarks.answers_file import (
    OUTPUTS,
    final_answer,
    read_outputs,
    read_saved,
    reasoning_state,
    write_outputs,
)

ROWS = [
    {"item_id": f"i{n}", "output": f"words {n}\u2028\ud800", "question": "asked"} for n in range(3)
]


def test_answers_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    write_outputs(tmp_path, ROWS)
    assert read_saved(tmp_path / OUTPUTS) == ROWS
    assert read_outputs(tmp_path, ["i2", "i0"]) == [ROWS[2], ROWS[0]]
    with pytest.raises(UserError, match="no answer for i9"):
        read_outputs(tmp_path, ["i0", "i9"])


def test_sealed_answers_hold_no_word_and_open_again(tmp_path: Path) -> None:
    rows = [{"item_id": "i", "output": "secret words", "question": "secret question"}]
    write_outputs(tmp_path, rows, sealed=True)
    assert "secret" not in (tmp_path / OUTPUTS).read_text()
    assert read_outputs(tmp_path, ["i"])[0]["output"] == "secret words"
    row = json.loads((tmp_path / OUTPUTS).read_text())
    (tmp_path / OUTPUTS).write_text(json.dumps({**row, "item_id": "j"}) + "\n")
    with pytest.raises(UserError, match=r"outputs.jsonl:1: the sealed answer can't be opened"):
        read_outputs(tmp_path, ["j"])


@pytest.mark.parametrize(
    ("row", "answer", "state"),
    [
        ({"output": "4"}, "4", ""),
        ({"output": "<think>3</think>4"}, "4", "closed"),
        ({"output": "<think>3"}, "", "unclosed"),
        ({"output": "3</think>4", "reasoning_opened": True}, "4", "closed"),
        ({"output": "3", "reasoning_opened": True}, "", "unclosed"),
        ({"output": None}, "", ""),
    ],
)
def test_reasoning_is_no_part_of_the_answer(
    row: dict[str, object], answer: str, state: str
) -> None:
    read = final_answer(row)
    assert (read.answer, reasoning_state(read)) == (answer, state)
