"""GSM8K: published outputs give the published labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.benchmarks.rescore import rescore
from harness.data import open_source


def test_openai_solutions_give_all_published_labels(data_dir: Path) -> None:
    rows = open_source(data_dir).rows("gsm8k/replay_openai_solutions.jsonl")
    file = data_dir / "gsm8k" / "replay_openai_solutions.jsonl"
    outcome = rescore(file, "gsm8k/openai-solutions")
    assert len(outcome.items) == 400
    for row, item in zip(rows, outcome.items, strict=True):
        assert bool(item.values["answer_colon"]) == row["is_correct"], item.item_id
    assert outcome.scores[0].value == pytest.approx(39.0)


def test_final_number_gives_all_published_labels_of_chat_answers(data_dir: Path) -> None:
    file = data_dir / "gsm8k" / "replay_llm_outputs.jsonl"
    rows = open_source(data_dir).rows("gsm8k/replay_llm_outputs.jsonl")
    outcome = rescore(file, "gsm8k/paper")
    assert [bool(i.values["numeric"]) for i in outcome.items] == [r["is_correct"] for r in rows]


def test_the_two_extractions_of_lm_eval_differ_widely_on_chat_answers(data_dir: Path) -> None:
    """Chat answers seldom write ``####``: the reason why both stand side by side."""
    outcome = rescore(data_dir / "gsm8k" / "replay_llm_outputs.jsonl", "gsm8k/community")
    values = {score.metric: score.value for score in outcome.scores}
    right = sum(
        r["is_correct"] for r in open_source(data_dir).rows("gsm8k/replay_llm_outputs.jsonl")
    )
    assert values["numeric"] == pytest.approx(100 * right / 136)
    assert values["flexible_extract"] is not None
    assert values["strict_match"] is not None
    assert values["flexible_extract"] - values["strict_match"] > 40
