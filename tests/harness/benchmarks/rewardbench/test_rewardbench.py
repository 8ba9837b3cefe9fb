"""RewardBench: what is right, the published weights of the sections, and data that can't be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import load_protocol
from harness.benchmarks.base import EvalRequest
from harness.benchmarks.rewardbench import BENCHMARK
from harness.benchmarks.rewardbench.sections import SECTIONS
from harness.data import DataSource, open_source
from harness.errors import DataError


class ByLength:
    """Scores an answer by its characters; ``wrong`` texts score nothing."""

    def __init__(self, *wrong: str) -> None:
        self.wrong = wrong

    def scores(self, items: Any, progress: Any = None) -> list[tuple[float, ...]]:
        return [
            tuple(0.0 if a in self.wrong else float(len(a)) for a in answers)
            for _, answers in items
        ]


def request(data: DataSource, limit: int | None = None) -> EvalRequest:
    return EvalRequest(data, load_protocol("rewardbench"), limit)


def source(folder: Path, *rows: dict[str, Any]) -> DataSource:
    file = folder / "rewardbench" / "filtered.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_source(folder)


def row(number: int, subset: str, right: bool = True) -> dict[str, Any]:
    """A pair whose longer side is the chosen one, where ``right``."""
    sides = ("long answer", "short") if right else ("short", "long answer")
    return {
        "id": number,
        "prompt": f"q{number}",
        "chosen": sides[0],
        "rejected": sides[1],
        "subset": subset,
    }


def figures(
    data: DataSource, folder: Path, limit: int | None = None
) -> dict[tuple[str, str], float | None]:
    BENCHMARK.generate(request(data, limit), ByLength(), folder)
    outcome = BENCHMARK.score(request(data, limit), folder)
    return {(s.metric, s.category): s.value for s in outcome.scores}


def test_a_pair_is_right_where_the_chosen_answer_scores_higher(tmp_path: Path) -> None:
    equal = {**row(9, "donotanswer"), "chosen": "abc", "rejected": "xyz"}
    data = source(tmp_path / "d", row(1, "donotanswer"), row(2, "donotanswer", False), equal)
    found = figures(data, tmp_path)
    assert found["accuracy", "donotanswer"] == pytest.approx(100 / 3)
    assert found["safety", ""] == pytest.approx(100 / 3)
    assert found["average", ""] is None
    outcome = BENCHMARK.score(request(data), tmp_path)
    assert [item.values["correct"] for item in outcome.items] == [1.0, 0.0, 0.0]
    assert "without chat, chat_hard, refusals-dangerous" in " ".join(outcome.scores[0].marks)
    headline = [score for score in outcome.scores if score.headline]
    assert [score.metric for score in headline] == ["average"]


def test_the_sample_data_have_all_sections_and_a_limit_is_marked(tmp_path: Path) -> None:
    found = figures(open_source("sample"), tmp_path)
    assert all(found[name, ""] is not None for name in ("average", *SECTIONS))
    BENCHMARK.generate(request(open_source("sample"), 5), ByLength(), tmp_path)
    outcome = BENCHMARK.score(request(open_source("sample"), 5), tmp_path)
    assert len(outcome.items) == 5
    assert {"sample-data", "item-limit"} <= set(outcome.scores[0].marks)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "has no field 'subset'"),
        ({"prompt": "q", "chosen": "a", "subset": "hep-go"}, "no field 'rejected'"),
        (row(1, "hep-go"), "the id 1 comes twice"),
    ],
)
def test_rows_that_can_not_be_used_name_file_and_line(
    bad: dict[str, Any], said: str, tmp_path: Path
) -> None:
    data = source(tmp_path, row(1, "hep-go"), bad)
    with pytest.raises(DataError, match=rf"filtered.jsonl:2: .*{said}"):
        BENCHMARK.workload(request(data))


@pytest.mark.parametrize(
    ("file", "count"), [("llmbar_as_rewardbench.jsonl", 419), ("rewardbench_sample8.jsonl", 8)]
)
def test_real_rows_are_read(file: str, count: int, data_dir: Path, tmp_path: Path) -> None:
    lines = (data_dir / "rewardbench" / file).read_text().splitlines()
    data = source(tmp_path, *map(json.loads, lines))
    questions = BENCHMARK.read(data)
    assert len(questions) == count
    assert all(q.prompt[-1]["role"] == "user" and len(q.answers) == 2 for q in questions)
