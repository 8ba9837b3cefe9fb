"""Which files the sample data have, how large they are at least, and their fields."""

from __future__ import annotations

import csv
import json
from typing import Any

from harness.data import SAMPLE_FOLDER

MMLU_PRO_FIELDS = {
    *("question_id", "question", "options", "answer"),
    *("answer_index", "cot_content", "category", "src"),
}
SCHEMAS: dict[str, tuple[int, set[str]]] = {
    "gsm8k/test.jsonl": (40, {"question", "answer"}),
    "gsm8k/train.jsonl": (10, {"question", "answer"}),
    "math/math_500.jsonl": (
        40,
        {"problem", "solution", "answer", "subject", "level", "unique_id"},
    ),
    "math/train.jsonl": (4, {"problem", "solution", "answer", "subject", "level", "unique_id"}),
    "mmlu_pro/test.jsonl": (
        42,
        MMLU_PRO_FIELDS,
    ),
    "mmlu_pro/validation.jsonl": (
        70,
        MMLU_PRO_FIELDS,
    ),
    "gpqa/gpqa_main.csv": (
        40,
        {
            "Record ID",
            "Question",
            "Correct Answer",
            "Incorrect Answer 1",
            "Incorrect Answer 2",
            "Incorrect Answer 3",
            "Explanation",
            "Subdomain",
            "Writer's Difficulty Estimate",
            "High-level domain",
        },
    ),
    "alpaca_eval/sample_baseline_outputs.json": (
        40,
        {"dataset", "instruction", "output", "generator"},
    ),
    "mt_bench/question.jsonl": (16, {"question_id", "category", "turns"}),
    "mt_bench/reference_answer/sample.jsonl": (
        6,
        {"question_id", "answer_id", "model_id", "choices", "tstamp"},
    ),
    "ifeval/input_data.jsonl": (10, {"key", "prompt", "instruction_id_list", "kwargs"}),
    "mmlu/test.jsonl": (24, {"question", "choices", "answer", "subject"}),
    "mmlu/dev.jsonl": (30, {"question", "choices", "answer", "subject"}),
    "queries/queries.jsonl": (64, {"id", "query", "source"}),
    "preference/preferences.jsonl": (64, {"prompt", "chosen", "rejected"}),
    "preference/skywork_80k_v0.2.jsonl": (16, {"chosen", "rejected", "source"}),
    "rewardbench/filtered.jsonl": (23, {"id", "prompt", "chosen", "rejected", "subset"}),
    "rewardbench2/test.jsonl": (
        14,
        {"id", "prompt", "chosen", "rejected", "num_correct", "subset"},
    ),
    "arena_hard/question.jsonl": (8, {"question_id", "category", "turns"}),
    "arena_hard/model_answer/sample-baseline.jsonl": (8, {"question_id", "model_id", "choices"}),
    "judge_canary/canary.jsonl": (12, {"id", "instruction", "output_1", "output_2", "label"}),
}


def rows(name: str) -> list[dict[str, Any]]:
    """Rows of one file, read without the code under test."""
    text = (SAMPLE_FOLDER / name).read_text(encoding="utf-8")
    if name.endswith(".csv"):
        return list(csv.DictReader(text.splitlines()))
    if name.endswith(".json"):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]
