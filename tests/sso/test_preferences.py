"""Annotated preference files: the shapes they come in and the mistakes that are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from sso.preferences import read_preferences


def written(tmp_path: Path, *rows: object) -> Path:
    file = tmp_path / "p.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "x", "chosen": "a ", "rejected": "b"},
        {"prompt": [USER], "chosen": "a", "rejected": "b", "score": 3},
        {
            "prompt": "x",
            "chosen": [USER, {"role": "assistant", "content": "a"}],
            "rejected": [USER, {"role": "assistant", "content": "b"}],
        },
        {
            "prompt": [{"from": "human", "value": "x"}],
            "chosen": {"from": "gpt", "value": "a"},
            "rejected": {"from": "gpt", "value": "b"},
        },
    ],
)
def test_shapes(tmp_path: Path, row: dict[str, object]) -> None:
    (pair,), dropped, repeated = read_preferences(written(tmp_path, {"id": "r1", **row}))
    assert (pair.id, pair.query_id, pair.kind) == ("r1", "r1", "annotated")
    assert (pair.prompt, pair.chosen, pair.rejected) == ((USER,), "a", "b")
    assert (dropped, repeated) == ([], 0)


def test_unusable_pairs_are_dropped_and_repeated_ones_skipped(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {"id": "1", "prompt": "x", "chosen": "a", "rejected": "a "},
        {"id": "2", "prompt": "x", "chosen": "a", "rejected": ""},
        {"id": "3", "prompt": "x", "chosen": "a", "rejected": "b"},
        {"id": "3", "prompt": "x", "chosen": "a", "rejected": "b"},
        {"prompt": "x", "chosen": "c\u2028d", "rejected": "b"},
    )
    pairs, dropped, repeated = read_preferences(file)
    assert [p.id for p in pairs] == ["3", "line-5"]
    assert [(d.query_id, d.reason) for d in dropped] == [("1", "identical"), ("2", "empty")]
    assert repeated == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "x", "chosen": "a"}, r"p\.jsonl:2: field 'rejected' is missing"),
        ({"prompt": " ", "chosen": "a", "rejected": "b"}, r"p\.jsonl:2: prompt is empty"),
        ({"prompt": [], "chosen": "a", "rejected": "b"}, r":2: prompt: a text or a list"),
        ({"prompt": "x", "chosen": 3, "rejected": "b"}, r":2: chosen: a text or a list"),
        (
            {"prompt": "x", "chosen": [USER], "rejected": "b"},
            r":2: chosen: the last message is by 'user'",
        ),
        ({"prompt": "x", "chosen": [{"role": "assistant"}], "rejected": "b"}, r"needs the texts"),
        ("{broken", r"p\.jsonl:2: not valid JSON"),
        ("[1]", r"p\.jsonl:2: expected an object, found list"),
    ],
)
def test_mistakes_are_named_with_file_and_line(tmp_path: Path, row: object, message: str) -> None:
    good = {"prompt": "x", "chosen": "a", "rejected": "b"}
    with pytest.raises(UserError, match=message):
        read_preferences(written(tmp_path, good, row))


def test_real_ultrafeedback_rows(data_dir: Path) -> None:
    pairs, dropped, repeated = read_preferences(
        data_dir / "preference" / "ultrafeedback_binarized_1000.jsonl"
    )
    assert len(pairs) + len(dropped) == 1000
    assert repeated == 0
    assert len(pairs) > 950


def test_half_a_surrogate_pair_is_refused_by_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(
        '{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": "a\\ud800", "chosen": "b", "rejected": "c"}\n'
    )
    with pytest.raises(UserError, match=r"p\.jsonl:2: a text holds a lone surrogate"):
        read_preferences(file)


def test_different_pairs_under_one_id_are_both_kept(tmp_path: Path) -> None:
    rows = [{"id": "1", "prompt": "x", "chosen": c, "rejected": "b"} for c in ("a", "c", "a")]
    pairs, _, repeated = read_preferences(written(tmp_path, *rows))
    assert [(p.id, p.chosen) for p in pairs] == [("1", "a"), ("1#2", "c")]
    assert repeated == 1


def test_pairs_that_differ_in_indentation_are_pairs(tmp_path: Path) -> None:
    row = {"prompt": "x", "chosen": "if a:\n    b", "rejected": "if a:\nb"}
    pairs, dropped, _ = read_preferences(written(tmp_path, row))
    assert (len(pairs), dropped) == (1, [])


def test_a_multi_turn_conversation_keeps_all_its_turns(tmp_path: Path) -> None:
    before = [{"role": "system", "content": "s"}, USER, {"role": "assistant", "content": "r"}, USER]
    row = {
        "chosen": [*before, {"role": "assistant", "content": "a"}],
        "rejected": [*before, {"role": "assistant", "content": "b"}],
    }
    (pair,), _, _ = read_preferences(written(tmp_path, row))
    assert list(pair.prompt) == before
