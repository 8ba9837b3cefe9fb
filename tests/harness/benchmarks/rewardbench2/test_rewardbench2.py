"""RewardBench 2: best of four with shared places, Ties by hand, rows that can't be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import load_protocol
from harness.benchmarks.base import EvalRequest
from harness.benchmarks.rewardbench2 import BENCHMARK, SUBSETS, best_share
from harness.data import open_source
from harness.errors import DataError
from tests.harness.benchmarks.rewardbench.test_rewardbench import ByLength


@pytest.mark.parametrize(
    ("scores", "correct", "share"),
    [
        ([2, 1, 1, 1], 1, 1.0),
        ([1, 2, 0, 0], 1, 0.0),
        ([2, 2, 0, 0], 1, 0.5),
        ([1, 1, 1, 1], 1, 0.25),
        ([3, 3, 3, 0], 2, 2 / 3),
    ],
)
def test_an_equal_highest_score_counts_by_its_share(
    scores: list[float], correct: int, share: float
) -> None:
    assert best_share(scores, correct) == pytest.approx(share)


def test_the_sample_data_have_all_six_subsets(tmp_path: Path) -> None:
    request = EvalRequest(open_source("sample"), load_protocol("rewardbench2"))
    BENCHMARK.generate(request, ByLength(), tmp_path)
    outcome = BENCHMARK.score(request, tmp_path)
    found = {score.metric: score.value for score in outcome.scores if not score.category}
    assert set(found) == {"average", *SUBSETS}
    values = [found[name] for name in SUBSETS]
    assert None not in values
    assert found["average"] == pytest.approx(sum(v or 0.0 for v in values) / 6)
    assert [item.values for item in outcome.items if item.category == "Ties"] == [{}] * 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chosen": "a text"}, "chosen is no list of texts"),
        ({"rejected": []}, "rejected is no list of texts"),
        ({"subset": "Ties"}, "ref:N or tied:N"),
        ({"id": None}, "no field 'id'"),
    ],
)
def test_rows_that_can_not_be_used(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    row = {"id": "1", "prompt": "q", "chosen": ["a"], "rejected": ["b"], "subset": "Math", **change}
    (tmp_path / "rewardbench2").mkdir()
    (tmp_path / "rewardbench2" / "test.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=rf"test.jsonl:1: .*{said}"):
        BENCHMARK.workload(EvalRequest(open_source(tmp_path), load_protocol("rewardbench2")))
