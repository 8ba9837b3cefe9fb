"""Task names of other tools and the benchmarks of ours that they ask; figures as percent."""

from __future__ import annotations

import math

import pytest

from harness.imports.result import benchmark_of, figure


@pytest.mark.parametrize(
    ("task", "benchmark"),
    [
        ("gsm8k_cot", "gsm8k"),
        ("inspect_evals/gsm8k", "gsm8k"),
        ("leaderboard_mmlu_pro", "mmlu_pro"),
        ("mmlu", "mmlu"),
        ("mmlu_redux", "mmlu_redux"),
        ("gpqa_diamond_cot_zeroshot", "gpqa"),
        ("minerva_math500", "math"),
        ("leaderboard_ifeval", "ifeval"),
        ("gsm8k_platinum", "gsm8k_platinum"),
        ("hellaswag", "hellaswag"),
    ],
)
def test_only_a_benchmark_itself_takes_its_name(task: str, benchmark: str) -> None:
    assert benchmark_of(task) == benchmark


def test_shares_are_percent_and_what_is_no_number_is_none() -> None:
    assert figure(0.5, "acc") == 50
    assert figure(12.5, "word_perplexity") == 12.5
    assert figure("N/A", "acc") is figure(math.nan, "acc") is figure(True, "acc") is None
