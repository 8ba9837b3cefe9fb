"""Sequences that read a file's lines, or call a function, only for the items that are asked for."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from groundwork.errors import UserError
from groundwork.records import write_records
from groundwork.stored import ByKey, Lazy, LineFile, chosen, joined, stored_records
from sso.records import Query

QUERIES = [Query(id=str(n), text=f"line {n}\u2028 é {'x' * n}") for n in range(5)]


def test_records_are_those_that_were_written(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    write_records(file, QUERIES)
    found = stored_records(file, Query)
    assert list(found) == QUERIES
    assert (found[-1], found[1:3], len(found)) == (QUERIES[-1], QUERIES[1:3], 5)
    assert found == QUERIES
    assert found != QUERIES[:4]
    assert found != [*QUERIES[:4], QUERIES[0]]
    with pytest.raises(IndexError):
        found[5]


def test_records_stay_readable_where_the_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    write_records(file, QUERIES)
    found = stored_records(file, Query)
    write_records(file, QUERIES[:1])
    assert found == QUERIES


def test_a_line_that_is_no_record_is_named_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(f'{QUERIES[0].model_dump_json()}\n\n{{"id": "a"}}\n')
    found = stored_records(file, Query)
    assert found[0] == QUERIES[0]
    with pytest.raises(UserError, match=r"q\.jsonl:3: text: Field required"):
        found[1]
    with pytest.raises(UserError, match=r"none\.jsonl: No such file"):
        stored_records(tmp_path / "none.jsonl", Query)


def test_many_long_records_take_little_memory(tmp_path: Path) -> None:
    write_records(tmp_path / "q.jsonl", (Query(id=str(n), text="y" * 20_000) for n in range(100)))
    tracemalloc.start()
    total = sum(len(query.text) for query in stored_records(tmp_path / "q.jsonl", Query))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 2_000_000
    assert peak < 500_000


@pytest.mark.parametrize("size", [1, (1 << 15) - 1, 1 << 15, 100_000])
def test_lines_of_any_length_in_a_file_that_grows(tmp_path: Path, size: int) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"a" * size + b"\n")
    file = LineFile(path)
    assert file.line(0) == b"a" * size + b"\n"
    with path.open("ab") as stream:
        stream.write(b"second\n \nthird")
    assert file.line(size + 1) == b"second\n"
    assert [file.line(place) for place in file.starts()[1:]] == [b"second\n", b"third"]


def test_chosen_and_joined_items() -> None:
    tens = Lazy(4, lambda n: 10 * n)
    assert chosen(tens, [2, 0, 2]) == [20, 0, 20]
    assert joined(tens, [], (7, 8)) == [0, 10, 20, 30, 7, 8]
    assert joined() == []
    assert tens[::-2] == [30, 10]


def test_items_by_key() -> None:
    made = []
    found = ByKey(["a", "b"], Lazy(2, lambda n: made.append(n) or n))
    assert (list(found), len(found), "b" in found, made) == (["a", "b"], 2, True, [])
    assert (found["b"], found.get("c"), made) == (1, None, [1])
