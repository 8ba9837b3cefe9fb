"""Queries and preference pairs as people's files have them, and their shares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.config import load_config
from harness.data import open_source
from harness.stages.draw_queries import draw_queries, preference_rows, query_rows, shares

SAMPLE = open_source("sample")
USER = {"role": "user", "content": "hello"}


def written(folder: Path, *rows: Any) -> str:
    path = folder / "f.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8-sig")
    return str(path)


@pytest.mark.parametrize(
    "row",
    [
        {"query": "hello"},
        {"prompt": "hello"},
        {"instruction": "hello"},
        {"question": "hello"},
        {"prompt": [USER]},
        {"messages": [{"role": "system", "content": "s"}, USER]},
        {"conversations": [{"from": "human", "value": "hello"}]},
        {"chosen": [USER, {"role": "assistant", "content": "a"}]},
    ],
)
def test_a_query_under_its_usual_names(row: dict[str, Any], tmp_path: Path) -> None:
    (found,) = query_rows(SAMPLE, written(tmp_path, row))
    assert found["query"] == "hello"
    assert found["id"]


@pytest.mark.parametrize("row", [{"text": "x"}, {"query": 3}, {"query": "\ud800"}, {"prompt": [3]}])
def test_a_row_without_a_query_is_named(row: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"f.jsonl:2: "):
        query_rows(SAMPLE, written(tmp_path, {"query": "ok"}, row))


def test_empty_queries_are_left_out_and_none_is_an_error(tmp_path: Path) -> None:
    assert len(query_rows(SAMPLE, written(tmp_path, {"query": " "}, {"query": "x"}))) == 1
    with pytest.raises(UserError, match="the query set is empty"):
        query_rows(SAMPLE, written(tmp_path, {"query": " "}))


def test_preference_rows_keep_texts_and_unify_conversations(tmp_path: Path) -> None:
    plain = {"prompt": "hello", "chosen": "a", "rejected": "b", "score": 1}
    chat = {k: [USER, {"role": "assistant", "content": v}] for k, v in (("chosen", "a"), ("rejected", "b"))}  # fmt: skip
    first, second = preference_rows(SAMPLE, written(tmp_path, plain, chat))
    assert {k: first[k] for k in plain} == plain
    assert (second["prompt"], second["chosen"], second["rejected"]) == ([USER], "a", "b")


def test_different_pairs_under_one_id_are_kept_and_repeated_ones_are_not(tmp_path: Path) -> None:
    rows = [{"id": 1, "prompt": "p", "chosen": c, "rejected": "r"} for c in ("a", "b", "a")]
    assert [row["id"] for row in preference_rows(SAMPLE, written(tmp_path, *rows))] == [1, "1#2"]


def test_shares_are_disjoint_and_more_iterations_extend_them() -> None:
    rows = [{"id": str(n)} for n in range(10)]
    two, three = shares(rows, 2, 3, 0), shares(rows, 3, 3, 0)
    assert three[:2] == two
    ids = [row["id"] for share in three for row in share]
    assert len(set(ids)) == len(ids) == 9
    assert [len(share) for share in shares(rows, 3, None, 0)] == [3, 3, 3]
    assert len(shares(rows, 2, 8, 0)[1]) == 8  # starts again from the beginning
    assert shares(rows, 2, 3, 1) != two


def test_a_generator_has_the_first_of_the_policys_queries_or_a_set_of_its_own(
    tmp_path: Path,
) -> None:
    rows = [{"id": f"q{i}", "query": f"text {i}", "source": ""} for i in range(10)]
    own = [{"id": f"own{i}", "query": f"own {i}", "source": ""} for i in range(4)]
    config = load_config("quickstart", ["iterations=2", "queries.per_iteration=5"])
    drawn = draw_queries(config, rows, [], 0)
    assert list(drawn) == ["iter-1", "iter-2"]
    few = load_config(
        "quickstart", ["iterations=2", "queries.per_iteration=5", "queries.generator=2"]
    )
    again = draw_queries(few, rows, [], 0)
    assert again["iter-2"] == drawn["iter-2"]
    assert again["iter-2-generator"] == drawn["iter-2"][:2]
    file = few.queries.model_copy(update={"generator_file": "f.jsonl"})
    apart = draw_queries(few.model_copy(update={"queries": file}), rows, own, 0)
    assert {row["id"][:3] for row in apart["iter-1-generator"]} == {"own"}
    assert len(apart["iter-1-generator"]) == 2


def test_errors_name_the_line_and_blank_lines_count(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('\n{"query": "x"}\n\n{"text": "no query"}\n')
    with pytest.raises(UserError, match=r"rows.jsonl:4: the row has no query"):
        query_rows(SAMPLE, str(path))
    path.write_text('\n\n{"prompt": "p", "chosen": "c"}\n')
    with pytest.raises(UserError, match=r"rows.jsonl:3: field 'rejected' is missing"):
        preference_rows(SAMPLE, str(path))
