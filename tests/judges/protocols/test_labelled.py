"""Labelled pairs in three schemas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from judges.protocols.labelled import load_labelled


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no labelled pairs"),
        ('{"prompt": "q", "chosen": "a"}', "pairs.jsonl:1: no field 'rejected'"),
        (
            '{"instruction": "q", "output_1": "a", "output_2": "b", "label": 3}',
            "pairs.jsonl:1: label 3 is none of 0",
        ),
        ('{"id": 1, "prompt": "q", "chosen": "a", "rejected": "b"}\n' * 2, "item '1' occurs twice"),
        ("{", ":1: not valid JSON"),
        ("[1]", "not a list of objects"),
    ],
)
def test_bad_labelled_files(text: str, match: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=match):
        load_labelled(path)


def test_general_and_preference_schemas(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    row = {"instruction": "q", "output_1": "a", "output_2": "b", "labels": [1, 2, 1]}
    path.write_text(json.dumps(row))
    assert load_labelled(path)[0].majority == 1
    rows = [{"prompt": "q", "chosen": f"good{i}", "rejected": "bad"} for i in range(2)]
    path.write_text("\n".join(map(json.dumps, rows)))
    first, second = load_labelled(path)
    assert (first.comparison.output_1, first.majority) == ("good0", 1)
    assert (second.comparison.output_2, second.majority) == ("good1", 2)


def test_real_preference_data_loads(data_dir: Path) -> None:
    pairs = load_labelled(data_dir / "preference/ultrafeedback_binarized_1000.jsonl")
    assert len(pairs) == 1000
    assert [p.majority for p in pairs].count(1) == 500


def test_a_row_of_rewardbench_2_is_one_pair_per_rejected_text(tmp_path: Path) -> None:
    row = {"id": "7", "prompt": "q", "chosen": ["c"], "rejected": ["x", "y", "z"], "subset": "s"}
    path = tmp_path / "rb2.jsonl"
    path.write_text(json.dumps(row))
    pairs = load_labelled(path)
    assert [p.comparison.item_id for p in pairs] == ["7/0", "7/1", "7/2"]
    assert [p.majority for p in pairs] == [1, 2, 1]
    assert {p.subset for p in pairs} == {"s"}


def test_a_multi_turn_pair_shows_the_whole_conversation(tmp_path: Path) -> None:
    before = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "reply"},
        {"role": "user", "content": "second"},
    ]
    path = tmp_path / "turns.jsonl"
    path.write_text(json.dumps({"prompt": before, "chosen": "c", "rejected": "r"}))
    shown = load_labelled(path)[0].comparison.instruction
    assert [word in shown for word in ("first", "reply", "second")] == [True] * 3


def test_the_judge_sees_no_reasoning(tmp_path: Path) -> None:
    thought = "<think>B is better [[B]]</think>"
    rows = [
        {"prompt": "q", "chosen": f"{thought}a", "rejected": "b"},
        {"instruction": "q", "output_1": f"{thought}a", "output_2": "b", "label": 1},
        {
            **{"idx": 1, "instruction": "q", "input": "", "response1": f"{thought}a"},
            **{"response2": "b", "annotator1": 1, "annotator2": 1, "annotator3": 1},
        },
    ]
    for row in rows:
        (tmp_path / "pairs.jsonl").write_text(json.dumps(row))
        (pair,) = load_labelled(tmp_path / "pairs.jsonl")
        assert (pair.comparison.output_1, pair.comparison.output_2) == ("a", "b")
