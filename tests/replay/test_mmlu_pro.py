"""MMLU-Pro: the official chain on published outputs gives the published predictions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.benchmarks.mmlu_pro.extraction import official
from harness.benchmarks.rescore import rescore
from harness.data import open_source

FILE = "mmlu_pro/replay_Meta-Llama-3_1-8B-Instruct.jsonl"


def test_the_chain_gives_the_published_prediction_wherever_it_finds_a_letter(
    data_dir: Path,
) -> None:
    rows = open_source(data_dir).rows(FILE)
    found = 0
    for row in rows:
        letter, stage = official(row["model_outputs"])
        assert letter == row["chain3_pred"]
        if letter is None:
            assert row["published_pred_rule"] == "random_fill"
        else:
            assert (letter, stage) == (row["pred"], row["chain3_stage"])
            found += 1
    assert (found, len(rows)) == (942, 1000)


def test_rescore_gives_the_published_accuracy_without_the_random_letters(data_dir: Path) -> None:
    outcome = rescore(data_dir / FILE, "mmlu_pro/official")
    score = next(s for s in outcome.scores if s.headline)
    assert score.value == pytest.approx(44.4)
    assert (score.n, score.n_unparsed) == (1000, 58)
    published = json.loads((data_dir / "mmlu_pro/replay_published_accuracy.json").read_text())[0]
    assert published["subset"]["n"] == score.n


def test_subjects_are_reported_apart_and_add_up(data_dir: Path) -> None:
    outcome = rescore(data_dir / FILE, "mmlu_pro/official")
    subjects = [s for s in outcome.scores if s.category]
    assert len(subjects) == 14
    right = sum(round(s.value * s.n / 100) for s in subjects if s.value is not None)
    assert right == 444
