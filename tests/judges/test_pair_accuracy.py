"""Pair accuracy, counted by hand and on LLMBar's published verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from judges import Comparison, JudgeError, Verdict, pair_accuracy


class TableJudge:
    """Gives the verdict pairs of a table."""

    name = snapshot = "table"
    comparable = True

    def __init__(self, table: dict[str, tuple[float | None, float | None]]) -> None:
        self.table = table

    def pairwise(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        def verdict(item_id: str, value: float | None, swapped: bool) -> Verdict:
            return Verdict(
                item_id=item_id,
                kind="pairwise",
                judge="table",
                protocol="p",
                state="ok" if value is not None else "unparsed",
                value=value,
                swapped=swapped,
                cost_usd=0.01,
            )

        return [
            tuple(verdict(c.item_id, v, bool(i)) for i, v in enumerate(self.table[c.item_id]))  # type: ignore[misc]
            for c in comparisons
        ]


def items(names: Sequence[str]) -> list[Comparison]:
    return [Comparison(item_id=n, instruction="q", output_1="a", output_2="b") for n in names]


def accuracy(table: dict[str, Any], labels: Sequence[int]) -> Any:
    return pair_accuracy(TableJudge(table), items(list(table)), labels)  # type: ignore[arg-type]


def test_counts_by_hand() -> None:
    table = {
        "agreed": (1.0, 1.0),
        "agreed2": (2.0, 2.0),
        "wrong": (2.0, 2.0),
        "flip": (1.0, 2.0),
        "tie": (1.5, 1.5),
        "half-tie": (1.0, 1.5),
        "unread": (None, 1.0),
    }
    result = accuracy(table, [1, 2, 1, 1, 1, 1, 1])
    assert (result.agreed, result.disagreed, result.flips) == (2, 1, 1)
    assert (result.ties, result.unparsed, result.n) == (2, 1, 6)
    assert result.accuracy == pytest.approx(2 / 6)
    assert result.stderr == pytest.approx(math.sqrt(2 / 6 * 4 / 6 / 6))
    assert result.withheld == pytest.approx(1 / 7)
    assert [i.result for i in result.items][-2:] == ["tie", "unparsed"]
    assert [i.score for i in result.items] == [1, 1, 0, 0, 0, 0, None]
    assert result.items[0].cost_usd == pytest.approx(0.02)


def test_no_usable_pair_has_no_accuracy() -> None:
    result = accuracy({"x": (None, None)}, [1])
    assert result.accuracy is None
    assert result.stderr is None
    assert accuracy({}, []).n == 0


def test_bad_labels_and_repeats() -> None:
    with pytest.raises(JudgeError, match="1 pairs but 2 labels"):
        accuracy({"x": (1.0, 1.0)}, [1, 1])
    with pytest.raises(JudgeError, match="label 0 is neither 1 nor 2"):
        accuracy({"x": (1.0, 1.0)}, [0])
    judge = TableJudge({"x": (1.0, 1.0)})
    with pytest.raises(JudgeError, match="pair x occurs twice"):
        pair_accuracy(judge, items(["x", "x"]), [1, 1])  # type: ignore[arg-type]


def test_llmbar_published_counts(data_dir: Path) -> None:
    """GPT-4's verdicts on LLMBar natural: 93 of 100 right in both orders, 95 equal (published)."""
    path = data_dir / "judge_agreement/llmbar_pairwise_judgments.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for judge, both, equal in (("GPT-4", 93, 95), ("ChatGPT", 67, 71)):
        chosen = [
            r
            for r in rows
            if r["judge"] == judge and r["strategy"] == "Vanilla" and "natural" in r["id"]
        ]
        values = {"1": 1.0, "2": 2.0}
        table = {r["id"]: (values.get(r["winner_ab"]), values.get(r["winner_ba"])) for r in chosen}
        result = accuracy(table, [r["gold_label"] for r in chosen])
        assert len(chosen) == 100
        assert result.agreed == both
        assert result.agreed + result.disagreed == equal
