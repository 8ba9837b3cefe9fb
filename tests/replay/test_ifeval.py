"""IFEval: GPT-4's published answers give the published labels, strict and loose."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.benchmarks.aggregate import Answer
from harness.benchmarks.ifeval import BENCHMARK, target_of
from harness.benchmarks.rescore import rescore
from harness.data import open_source
from harness.errors import DataError

FILE = "ifeval/replay_gpt4.jsonl"


@pytest.fixture(scope="module", autouse=True)
def _sentence_model() -> None:
    from harness.benchmarks.ifeval.punkt import ensure_punkt

    try:
        ensure_punkt()
    except DataError as error:
        pytest.skip(str(error))


def test_all_published_labels_of_the_shared_half(data_dir: Path) -> None:
    rows = open_source(data_dir).rows(FILE)
    grades = BENCHMARK.grade([Answer(target_of(row, ""), row["response"]) for row in rows], {})
    assert len(rows) == 270
    for row, grade in zip(rows, grades, strict=True):
        for kind in ("strict", "loose"):
            followed = row[f"{kind}_follow_list"]
            assert bool(grade.values[f"prompt_{kind}"]) == row[f"{kind}_follow_all"], row["key"]
            share = sum(followed) / len(followed)
            assert grade.values[f"instruction_{kind}"] == pytest.approx(share), row["key"]


def test_rescore_gives_the_counts_of_the_shared_half(data_dir: Path) -> None:
    outcome = rescore(data_dir / FILE, "ifeval/community")
    values = {s.metric: s.value for s in outcome.scores if not s.category}
    assert values["prompt_strict"] == pytest.approx(100 * 204 / 270)
    assert values["prompt_loose"] == pytest.approx(100 * 211 / 270)
    assert values["instruction_strict"] == pytest.approx(100 * 340 / 414)
