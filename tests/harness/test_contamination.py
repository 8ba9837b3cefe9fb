"""Contamination: equal texts, shared runs of 13 words, and what is never written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.benchmarks import BENCHMARKS
from harness.contamination import Overlap, find_overlaps, item_texts, words
from harness.data import DataSource, open_source
from harness.errors import DataError

LONG = (
    "A farmer plants nineteen rows of apple trees, and each row holds twenty-three trees; "
    "how many trees stand in the whole orchard?"
)
SHORT = "What is 12 squared?"


def write(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> DataSource:
    write(
        tmp_path,
        "gsm8k/test.jsonl",
        [{"question": "Unrelated."}, {"question": LONG}, {"question": SHORT}],
    )
    write(
        tmp_path,
        "mt_bench/question.jsonl",
        [{"question_id": 81, "turns": ["Describe a harbour at dawn.", "Now as a haiku, please."]}],
    )
    return open_source(tmp_path)


def test_words_ignore_case_punctuation_and_spacing() -> None:
    assert words("  Don't\nSTOP_now -- ＡＢＣ, 3.5!") == tuple(
        ["don", "t", "stop", "now", "abc", "3", "5"]
    )


def test_equal_texts_are_exact_whatever_their_length(data: DataSource) -> None:
    found = find_overlaps({"a": "what is  12 SQUARED", "b": LONG.upper()}, data, ["gsm8k"])
    assert [(o.query_id, o.item_id, o.kind) for o in found] == [
        ("a", "gsm8k/2", "exact"),
        ("b", "gsm8k/1", "exact"),
    ]


def test_thirteen_words_in_a_row_overlap_and_twelve_do_not(data: DataSource) -> None:
    run = words(LONG)
    around = ("please", "solve", *run[3:16], "thanks", "a", "lot")
    twelve = ("please", "solve", *run[3:15], "thanks", "a", "lot")
    queries = {"thirteen": " ".join(around), "twelve": " ".join(twelve)}
    assert find_overlaps(queries, data, ["gsm8k"]) == [
        Overlap(
            "thirteen",
            "gsm8k",
            "gsm8k/1",
            "ngram",
            "1 shared runs of 13 words, the first: " + " ".join(run[3:16]),
        )
    ]


def test_a_short_item_inside_a_longer_query_is_not_an_overlap(data: DataSource) -> None:
    assert find_overlaps({"a": f"{SHORT} Show the steps."}, data, ["gsm8k"]) == []


def test_runs_do_not_cross_from_one_text_into_the_next(tmp_path: Path) -> None:
    run = [f"w{i}" for i in range(13)]
    halves = [{"question": " ".join(run[:7])}, {"question": " ".join(run[7:])}]
    write(tmp_path, "gsm8k/test.jsonl", halves)
    source = open_source(tmp_path)
    assert find_overlaps({"a": " ".join(run)}, source, ["gsm8k"]) == []
    assert find_overlaps({"a": "w0 w1", "b": "w2 w3"}, source, ["gsm8k"], n=4) == []


def test_the_item_with_most_shared_runs_stands_for_its_benchmark(tmp_path: Path) -> None:
    run = [f"w{i}" for i in range(20)]
    write(
        tmp_path,
        "gsm8k/test.jsonl",
        [{"question": " ".join(run[:13])}, {"question": " ".join([*run[:15], "end"])}],
    )
    (found,) = find_overlaps({"a": " ".join(run)}, open_source(tmp_path), ["gsm8k"])
    assert (found.item_id, found.detail.split(",")[0]) == ("gsm8k/1", "3 shared runs of 13 words")


def test_both_turns_count_and_each_benchmark_is_reported(data: DataSource) -> None:
    queries = {"a": "now as a haiku please", "b": SHORT}
    found = find_overlaps(queries, data, ["mt_bench", "gsm8k", "ifeval"])
    assert [(o.query_id, o.item_id) for o in found] == [("a", "mt_bench/81"), ("b", "gsm8k/2")]


def test_gated_text_never_enters_an_overlap(tmp_path: Path) -> None:
    folder = tmp_path / "gpqa"
    folder.mkdir()
    secret = " ".join(f"secret{i}" for i in range(20))
    (folder / "gpqa_main.csv").write_text(f'Record ID,Question\nrec7,"{secret}"\n')
    queries = {"part": "hello " + secret[:150], "whole": secret}
    found = find_overlaps(queries, open_source(tmp_path), ["gpqa"])
    assert [(o.item_id, o.kind) for o in found] == [("gpqa/rec7", "ngram"), ("gpqa/rec7", "exact")]
    assert "secret" not in json.dumps([vars(o) for o in found])


def test_empty_texts_match_nothing(tmp_path: Path) -> None:
    write(tmp_path, "gsm8k/test.jsonl", [{"question": "???"}])
    assert find_overlaps({"a": "!!!", "b": ""}, open_source(tmp_path), ["gsm8k"]) == []
    assert find_overlaps({}, open_source(tmp_path), ["gsm8k"]) == []


def test_bad_input_is_one_clear_line(data: DataSource, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="benchmark 'nope'"):
        find_overlaps({"a": "b"}, data, ["nope"])
    with pytest.raises(UserError, match="at least 1"):
        find_overlaps({"a": "b"}, data, ["gsm8k"], n=0)
    write(tmp_path, "ifeval/input_data.jsonl", [{"prompt": "x"}, {"key": 2}])
    with pytest.raises(DataError, match=r"input_data.jsonl:2: .*'prompt'"):
        find_overlaps({"a": "b"}, data, ["ifeval"])


def test_sample_queries_are_not_in_the_sample_benchmarks() -> None:
    data = open_source("sample")
    rows = data.rows("queries/queries.jsonl")
    assert len(rows) >= 64
    assert all(list(item_texts(data, name)) for name in BENCHMARKS)
    queries = {row["id"]: row["query"] for row in rows}
    assert find_overlaps(queries, data, list(BENCHMARKS)) == []


def test_real_items_are_found_among_real_queries(data_dir: Path) -> None:
    """Every problem of MATH-500, asked as a query, is found in the whole MATH test set, which is
    why that alone is searched where it is there."""
    data = open_source(data_dir)
    problems = {r["unique_id"]: r["problem"] for r in data.rows("math/math_500.jsonl")}
    found = find_overlaps(problems, data, ["math"])
    assert {o.query_id for o in found} == set(problems)
    assert {o.kind for o in found} == {"exact"}


def test_blocks_of_queries_find_what_all_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_source("sample")
    texts = [" ".join(item.words) for item in item_texts(data, "gsm8k")]
    queries = {f"copy-{n}": text for n, text in enumerate(texts)}
    queries |= {f"near-{n}": f"Tell me: {text} Why?" for n, text in enumerate(texts)}
    queries |= {f"other-{n}": f"something else altogether {n} " * 30 for n in range(20)}
    whole = find_overlaps(queries, data, ["gsm8k", "math"])
    assert {o.kind for o in whole} == {"exact", "ngram"}
    for size in (1, 700, 5000):
        monkeypatch.setattr("harness.contamination.BLOCK", size)
        assert find_overlaps(queries, data, ["gsm8k", "math"]) == whole
