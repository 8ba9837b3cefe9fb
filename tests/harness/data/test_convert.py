"""Parquet files into rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.data import open_source
from harness.data.convert import preference_row
from harness.data.install import get
from harness.data.verify import verify
from harness.errors import DataError
from tests.harness.data.data_server import Server, server
from tests.harness.data.manifest_entries import (
    HUB,
    parquet,
    parquet_entry,
)

__all__ = ["server"]  # a fixture


def test_parquet_becomes_rows_and_the_lock_holds_them_afterwards(
    server: Server, tmp_path: Path
) -> None:
    rows = [{"question": "é?", "choices": ["a", "b"], "answer": n} for n in range(2)]
    server.files[HUB] = parquet(rows)
    file = parquet_entry()
    get(file, tmp_path)
    assert open_source(tmp_path).rows("mmlu/dev.jsonl") == rows
    (check,) = verify(tmp_path, [file])
    assert (check.status, check.checksum) == ("ok", "lock")
    path = tmp_path / "mmlu/dev.jsonl"
    path.write_text(path.read_text().replace("é", "e"))
    (check,) = verify(tmp_path, [file])
    assert check.status == "bad"
    assert "wrong checksum" in check.problem
    with pytest.raises(DataError, match="--force"):
        get(file, tmp_path)
    assert get(file, tmp_path, force=True).status == "fetched"
    assert open_source(tmp_path).rows("mmlu/dev.jsonl") == rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "a", "choices": ["b"]}], "gives 1 rows .* not 2"),
        ([{"question": "a", "choices": None}] * 2, "row 1 .* no field 'choices'"),
        (None, "not a parquet file"),
    ],
)
def test_unexpected_rows_are_refused_and_fetched_anew(
    server: Server, tmp_path: Path, rows: list[dict[str, Any]] | None, message: str
) -> None:
    server.files[HUB] = parquet(rows) if rows else b"<html>sign in</html>"
    with pytest.raises(DataError, match=message):
        get(parquet_entry(), tmp_path)
    assert not (tmp_path / "mmlu/dev.jsonl").exists()
    server.files[HUB] = parquet([{"question": "a", "choices": ["b"]}] * 2)
    assert get(parquet_entry(), tmp_path).status == "fetched"


def test_of_several_parts_those_that_are_whole_are_not_fetched_again(
    server: Server, tmp_path: Path
) -> None:
    root = "/datasets/some/set/resolve/main/"
    problem = {"problem": "1+1?", "level": "Level 1", "type": "Algebra"}
    one = parquet([{**problem, "solution": r"So \boxed{2}, hence \boxed{\frac{4}{2}}."}])
    other = parquet([{**problem, "solution": r"So \boxed{3}."}])
    server.files[f"{root}algebra/t.parquet"] = one
    file = parquet_entry(
        path="math/math_test_5000.jsonl",
        sources=[{"path": "algebra/t.parquet"}, {"path": "geometry/t.parquet"}],
        convert="math",
        fields=["problem", "answer", "unique_id"],
    )
    with pytest.raises(DataError, match="404"):
        get(file, tmp_path)
    server.files[f"{root}geometry/t.parquet"] = other
    get(file, tmp_path)
    paths = [path.removeprefix(root) for path, _, _ in server.asked]
    assert paths == ["algebra/t.parquet", "geometry/t.parquet"]
    rows = open_source(tmp_path).rows("math/math_test_5000.jsonl")
    assert [row["unique_id"] for row in rows] == ["test/algebra/row-0", "test/geometry/row-0"]
    assert rows[0]["answer"] == r"\frac{4}{2}"


def test_preference_conversations_become_their_last_answers(server: Server, tmp_path: Path) -> None:
    def talk(answer: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "p"}, {"role": "assistant", "content": answer}]

    row = {"prompt": "p", "chosen": talk("good"), "rejected": talk("bad"), "score_chosen": 8.5}
    server.files[HUB] = parquet([row])
    file = parquet_entry(
        path="preference/u.jsonl",
        convert="preferences",
        rows=1,
        fields=["prompt", "chosen", "rejected"],
    )
    get(file, tmp_path)
    (found,) = open_source(tmp_path).rows("preference/u.jsonl")
    assert found == {"prompt": "p", "chosen": "good", "rejected": "bad", "score_chosen": 8.5}


def test_a_longer_conversation_is_kept_whole() -> None:
    turns = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "p"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "q"},
    ]
    sides = {n: [*turns, {"role": "assistant", "content": n}] for n in ("chosen", "rejected")}
    row = preference_row({"prompt": "p", **sides})
    assert row == {"prompt": turns, "chosen": "chosen", "rejected": "rejected"}
    sides["rejected"] = [{"role": "user", "content": "other"}, sides["rejected"][-1]]
    with pytest.raises(DataError, match="row 7: chosen and rejected are answers to different"):
        preference_row({"prompt": "p", **sides}, "row 7")
