"""Saved pairwise verdicts: LLMBar's published figures, and the place of each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from judges.agreement import agreement_of
from judges.import_export.pairwise_verdicts import read_pairwise
from judges.protocols.labelled import LabelledPair, load_labelled


@pytest.mark.parametrize(
    ("subset", "judge", "strategy"),
    [
        ("llmbar-natural", "GPT-4", "Vanilla"),
        ("llmbar-natural", "ChatGPT", "Vanilla"),
        ("llmbar-adver-GPTOut", "ChatGPT", "CoT"),
    ],
)
def test_llmbars_published_figures(
    subset: str, judge: str, strategy: str, data_dir: Path, tmp_path: Path
) -> None:
    folder = data_dir / "judge_agreement"
    rows = [
        row
        for row in map(json.loads, (folder / "llmbar_pairwise_judgments.jsonl").open())
        if row["id"].startswith(f"{subset}-")
        and (row["judge"], row["strategy"]) == (judge, strategy)
    ]
    path = tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    saved, verdicts = read_pairwise(path)
    general = [
        {
            "id": row["id"],
            "instruction": row["input"],
            "output_1": row["output_1"],
            "output_2": row["output_2"],
            "label": row["gold_label"],
        }
        for row in rows
    ]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps(row) + "\n" for row in general))
    pairs: list[LabelledPair] = load_labelled(labels)
    found = agreement_of(saved, pairs, [verdicts[p.comparison.item_id] for p in pairs], data=subset)
    published = json.loads((folder / "llmbar_published_statistics.json").read_text())
    figures = published[f"{subset}|{judge}|{strategy}"]
    both = int(figures["correct_both"].split(" / ")[0])
    assert found.accuracy == pytest.approx(both / found.n)
    assert found.n + found.unusable == len(pairs)
    right = [
        sum(verdicts[p.comparison.item_id][order].value == p.majority for p in pairs)
        for order in (0, 1)
    ]
    expected = [int(figures[f"correct_{name}"].split(" / ")[0]) for name in ("False", "True")]
    assert right == expected
    assert found.flips == pytest.approx(1 - int(figures["equal"].split(" / ")[0]) / found.n)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([{"id": 1, "winner_ab": 1}], ":1: no field 'winner_ba'"),
        ([{"winner_ab": 1, "winner_ba": 1}], ":1: no field 'id'"),
        ([{"id": 1, "winner_ab": 1, "winner_ba": 1}] * 2, ":2: item '1' occurs twice"),
        (
            [
                {"id": 1, "winner_ab": 1, "winner_ba": 1, "judge": "a"},
                {"id": 2, "winner_ab": 1, "winner_ba": 1, "judge": "b"},
            ],
            ":2: verdicts of several judges",
        ),
        ([], "no verdict"),
    ],
)
def test_mistakes_name_the_line(rows: list[dict[str, object]], match: str, tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=match):
        read_pairwise(path)


def test_ties_and_what_is_no_verdict(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text('{"id": "x", "winner_ab": "Tie", "winner_ba": null}\n')
    _, verdicts = read_pairwise(path)
    assert [(v.value, v.state) for v in verdicts["x"]] == [(1.5, "ok"), (None, "unparsed")]
