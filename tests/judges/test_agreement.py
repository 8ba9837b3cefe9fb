"""Judge quality: by hand, against published figures, against statsmodels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judges import Comparison, JudgeError
from judges.agreement import (
    Agreement,
    agreement_of,
    bootstrap,
    measure_agreement,
    remember_agreement,
    remembered_agreements,
    wilson,
)
from judges.protocols.labelled import LabelledPair, load_labelled
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer, completion
from tests.judges.judge_examples import budget_judge, judge_on
from tests.judges.test_pair_accuracy import TableJudge


def pair(item_id: str, labels: tuple[int, ...], first: str = "aaa", second: str = "b") -> Any:
    return LabelledPair(
        Comparison(item_id=item_id, instruction="q", output_1=first, output_2=second), labels
    )


def measured(table: dict[str, Any], pairs: list[LabelledPair]) -> Agreement:
    judge = TableJudge(table)
    verdicts = judge.pairwise([p.comparison for p in pairs])
    return agreement_of(judge, pairs, verdicts, data="hand")  # type: ignore[arg-type]


def test_figures_by_hand() -> None:
    pairs = [
        pair("right", (1, 1, 2)),
        pair("wrong", (1, 1, 1)),
        pair("flip", (2, 2, 2)),
        pair("tie", (0, 0, 1)),
        pair("split", (0, 1, 2)),
        pair("unread", (1, 1, 1)),
    ]
    table = {
        "right": (1.0, 1.0),
        "wrong": (2.0, 2.0),
        "flip": (1.0, 2.0),
        "tie": (1.5, 1.5),
        "split": (1.0, 1.0),
        "unread": (None, 1.0),
    }
    result = measured(table, pairs)
    # Usable: right, wrong, flip, tie (split has no majority, unread no verdict).
    assert (result.n, result.unusable) == (4, 2)
    assert result.accuracy == pytest.approx(2 / 4)
    assert (result.decided_accuracy, result.decided_n) == (1 / 2, 2)
    # Judge against each annotator: 2/3, 0, 0, 2/3, 1/3 over the five pairs with verdicts.
    assert result.with_humans == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 5)
    # Annotators among themselves: 1/3, 1, 1, 1/3, 0, 1.
    assert result.human_human == pytest.approx((1 / 3 + 1 + 1 + 1 / 3 + 0 + 1) / 6)
    assert result.flips == pytest.approx(1 / 5)
    # Side-naming verdicts, first shown named: right yes/no, wrong no/yes, flip yes/yes, split
    # yes/no; unread's readable verdict is the swapped one, value 1: no.
    assert result.first_preferred == pytest.approx(5 / 9)
    # Longer output is output_1: right and split prefer it, wrong does not.
    assert result.longer_preferred == pytest.approx(2 / 3)
    assert result.longer_preferred_by_humans == pytest.approx(3 / 4)
    assert dict(result.table())["data"] == "hand, 4 pairs, 2 unusable"


def test_wilson_equals_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for successes, n in ((0, 5), (3, 7), (95, 100), (100, 100)):
        theirs = proportion.proportion_confint(successes, n, method="wilson")
        assert wilson(successes, n) == pytest.approx(theirs, abs=1e-6)


def test_bootstrap_is_near_the_normal_interval() -> None:
    values = [0.0, 1.0] * 200
    low, high = bootstrap(values) or (0.0, 0.0)
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.01)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.01)
    assert bootstrap([]) is None


def test_pandalm_published_agreement_of_gpt_35(data_dir: Path) -> None:
    """GPT-3.5 equals the human majority on 71.07 % of the 999 pairs, garbage counted as a tie."""
    folder = data_dir / "judge_agreement"
    pairs = load_labelled(folder / "pandalm_testset-v1.json")
    assert len(pairs) == 999
    majorities = [p.majority for p in pairs]
    assert [majorities.count(label) for label in (0, 1, 2)] == [105, 422, 472]
    rows = json.loads((folder / "pandalm_gpt-3.5-turbo-testset-v1.json").read_text())
    said = {str(r["idx"]): {"1": 1.0, "2": 2.0}.get(str(r["gpt_result"]), 1.5) for r in rows}
    table = {key: (value, value) for key, value in said.items()}
    result = measured(table, pairs)
    assert (result.n, result.unusable) == (999, 0)
    assert result.accuracy == pytest.approx(0.7107, abs=5e-5)
    assert result.macro_precision == pytest.approx(0.5879, abs=5e-5)
    assert result.macro_recall == pytest.approx(0.5736, abs=5e-5)
    assert result.macro_f1 == pytest.approx(0.5755, abs=5e-5)
    theirs = pytest.importorskip("sklearn.metrics")
    decided = [{1.0: 1, 2.0: 2, 1.5: 0}[said[p.comparison.item_id]] for p in pairs]
    assert result.kappa == pytest.approx(theirs.cohen_kappa_score(majorities, decided), abs=1e-12)
    assert result.human_human is not None
    assert result.with_humans is not None
    # People agree with each other (Cohen's kappa 0.85 to 0.88) more than the judge with them.
    assert result.human_human > 0.9 > result.with_humans


def test_llmbar_labels_are_on_both_sides(data_dir: Path) -> None:
    pairs = [
        p
        for p in load_labelled(data_dir / "rewardbench/llmbar_as_rewardbench.jsonl")
        if p.subset == "llmbar-natural"
    ]
    assert len(pairs) == 100
    assert {p.majority for p in pairs} == {1, 2}, "the chosen side is not always the first"


def test_self_consistency_and_cost(tmp_path: Path) -> None:
    """A judge that answers at random differs from itself; tokens give the cost."""
    answers = iter(["[[A]]", "[[A]]", "[[B]]", "[[A]]", "[[B]]", "[[A]]", "[[B]]", "[[A]]"])
    with FaultyServer(lambda _: completion(next(answers))) as server:
        judge = budget_judge(server, tmp_path, max_cost=1.0, concurrency=1)
        pairs = [pair("x", (1,), "one"), pair("y", (2,), "two")]
        result = measure_agreement(judge, pairs, data="d", again=judge.afresh("again"))
        assert len(server.received) == 8
    # First: A A B A; again: B A B A, so three of four are the same.
    assert result.self_consistency == pytest.approx(3 / 4)
    assert result.cost_per_1000 == pytest.approx(1.03)
    assert result.human_human is None


def test_agreement_is_remembered_and_cited(tmp_path: Path) -> None:
    with FaultyServer(lambda _: completion("[[A]]")) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        result = measure_agreement(judge, [pair("x", (1, 1, 2))], data="d")
        remember_agreement(judge.store, result)
        assert remembered_agreements(VerdictStore(tmp_path / "v.sqlite"), judge.snapshot) == [
            result
        ]
        assert judge.describe()["agreement"]["d"]["n"] == 1
        assert remembered_agreements(judge.store, "nobody") == []
    with pytest.raises(JudgeError, match="no labelled pairs"):
        measure_agreement(judge, [], data="d")


# Labelled files


# Canary
