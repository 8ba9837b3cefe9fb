"""The store's own format, there and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from judges.import_export import (
    export_jsonl,
    import_jsonl,
)
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_examples import comparisons, judge_on, rating_reply, ratings


def test_jsonl_there_and_back(tmp_path: Path) -> None:
    with FaultyServer(rating_reply) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        first = judge.ratings(ratings(4))
        path = tmp_path / "all.jsonl"
        done = export_jsonl(judge.store, path)
        other = VerdictStore(tmp_path / "w.sqlite")
        assert import_jsonl(other, path).rows == done.rows == 10
        assert import_jsonl(other, path).left_out == {"already there": 10}
        again = judge_on(server, tmp_path / "w.sqlite", offline=True).ratings(ratings(4))
    assert [(v.state, v.value) for v in again] == [(v.state, v.value) for v in first]
    assert other.spent("") == (0, 0.0), "what another store paid is not this one's spend"


def test_jsonl_mistakes_store_nothing(tmp_path: Path) -> None:
    with FaultyServer() as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        judge.preferences(comparisons(2))
    path = tmp_path / "all.jsonl"
    export_jsonl(judge.store, path)
    lines = path.read_text().splitlines()
    store = VerdictStore(tmp_path / "w.sqlite")
    for text, match in (
        (f"{lines[0]}\n{{", r"all.jsonl:2: not valid JSON"),
        (f"{lines[0]}\n{lines[0]}", r"all.jsonl:2: the same request as in line 1"),
        (f"{lines[0]}\n" + lines[1].replace("Question", "Answer"), r":2: the key is not that"),
        (f"{lines[0]}\n[]", ":2: expected an object"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=match):
            import_jsonl(store, path)
        assert list(store.rows()) == []
