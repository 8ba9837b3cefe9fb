"""Published MT-Bench judgments give the published means."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.benchmarks.base import EvalRequest
from harness.benchmarks.mt_bench import rescore_judgments
from harness.data.sources import DataSource, read_rows


@pytest.mark.parametrize("model", ["claude-3-opus-20240229", "llama2_chat_7b"])
def test_judgments_give_the_expected_scores(data_dir: Path, model: str) -> None:
    from harness.benchmarks import load_protocol

    source = DataSource("dir", data_dir)
    [expected] = [
        row
        for row in read_rows(data_dir / "mt_bench/expected_scores.json")
        if row["model"] == model
    ]
    path = data_dir / f"mt_bench/model_judgment/gpt-4_single__{model}.jsonl"
    outcome = rescore_judgments(
        path, EvalRequest(data=source, protocol=load_protocol("mt_bench", "community"))
    )
    scores = {s.metric: s for s in outcome.scores if not s.category}
    assert scores["average"].value == pytest.approx(expected["mean_over_rows"], abs=1e-9)
    assert scores["turn_1"].value == pytest.approx(expected["turn1_mean"], abs=1e-9)
    assert scores["turn_2"].value == pytest.approx(expected["turn2_mean"], abs=1e-9)
    assert (scores["average"].n, scores["average"].n_expected) == (160, 160)
    assert (scores["average"].n_unparsed, scores["average"].n_missing) == (0, 0)
    assert scores["average"].marks == ()
    categories = {s.category: s for s in outcome.scores if s.category}
    assert len(categories) == 8
    assert all(s.n == 20 for s in categories.values())
    saved = {(str(r["question_id"]), r["turn"]): r["score"] for r in read_rows(path)}
    for item in outcome.items:
        turn = int(item.item_id[-1])
        assert item.values["average"] == saved[item.cluster, turn]
