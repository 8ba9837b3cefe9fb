"""The verdict store as a file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from judges.errors import JudgeError
from judges.request import JudgeRequest
from judges.store import CHECKPOINT_EVERY, VerdictStore
from judges.stored_reply import StoredReply


def row(key: str = "k", **changes: object) -> StoredReply:
    fields = {
        "key": key,
        "judge": "j",
        "served": "j-1",
        "protocol": "p/1",
        "attempt": 0,
        "request": {"messages": [{"role": "user", "content": "Ωμέγα \ud800"}]},
        "reply": {"choices": [{"message": {"content": "m"}}]},
        "cost_usd": 0.25,
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "scope": "run",
    }
    return StoredReply(**{**fields, **changes})  # type: ignore[arg-type]


def test_what_is_put_comes_back(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path / "v.sqlite")
    store.put([row()])
    store.close()
    found = VerdictStore(tmp_path / "v.sqlite").get(["k", "other"], whole=True)
    assert list(found) == ["k"]
    assert found["k"].request == row().request
    assert found["k"].reply == row().reply
    assert found["k"].created > 0


def test_the_first_reply_stays(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path / "v.sqlite")
    store.put([row()])
    store.put([row(served="later")])
    assert store.get(["k"])["k"].served == "j-1"


def test_the_log_is_copied_beside_the_work_and_begun_anew(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path / "v.sqlite")
    for number in range(CHECKPOINT_EVERY):
        store.put([row(str(number))])
    assert store._copying is not None
    store._copying.join()
    store.put([row("last")])
    other = sqlite3.connect(tmp_path / "v.sqlite")
    # Busy or not, pages in the log, pages copied: the log holds the last reply and no more.
    _, pages, _ = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert 0 < pages < 20
    assert len(store.get([*map(str, range(CHECKPOINT_EVERY)), "last"])) == CHECKPOINT_EVERY + 1


def test_many_keys_are_looked_up_in_parts(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path / "v.sqlite")
    store.put(row(str(i)) for i in range(1201))
    assert len(store.get([str(i) for i in range(2000)])) == 1201
    assert len(list(store.rows())) == 1201
    assert len(list(store.rows(judge="other"))) == 0
    assert len(list(store.rows(protocol="p/"))) == 1201


def test_spend_is_summed_by_scope_and_imports_cost_nothing(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path / "v.sqlite")
    store.put([row("a"), row("b"), row("c", scope="other"), row("d", origin="import:jsonl")])
    assert store.spent("run") == (2, 0.5)
    [first, second] = store.stats()
    assert (first["origin"], first["replies"], first["cost_usd"]) == ("api", 3, 0.75)
    assert second["origin"] == "import:jsonl"


@pytest.mark.parametrize("change", ["judge", "message", "parameter", "protocol", "attempt"])
def test_everything_that_matters_is_in_the_key(change: str) -> None:
    base = JudgeRequest([{"role": "user", "content": "q"}], {"temperature": 0}, "p")
    others = {
        "judge": base.key("other"),
        "message": JudgeRequest([{"role": "user", "content": "Q"}], base.params, "p").key("j"),
        "parameter": JudgeRequest(base.messages, {"temperature": 1}, "p").key("j"),
        "protocol": JudgeRequest(base.messages, base.params, "p2").key("j"),
        "attempt": JudgeRequest(base.messages, base.params, "p", attempt=1).key("j"),
    }
    assert others[change] != base.key("j")
    assert base.key("j") == JudgeRequest(base.messages, base.params, "p", tags={"x": 1}).key("j")


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    path.write_text("not a database, but long enough to be looked at by the reader of headers")
    with pytest.raises(JudgeError, match=r"v.sqlite: .*not a database"):
        VerdictStore(path)


def test_a_store_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(JudgeError, match="version 99, expected 1"):
        VerdictStore(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JudgeError, match="no usable verdict store"):
        VerdictStore(tmp_path / "file" / "v.sqlite")


def test_facts(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path / "v.sqlite")
    assert store.fact("x") is None
    store.set_fact("x", {"a": [1]})
    assert store.fact("x") == {"a": [1]}


def test_a_replies_end_releases_its_claim(tmp_path: Path) -> None:
    one, two = VerdictStore(tmp_path / "v.sqlite"), VerdictStore(tmp_path / "v.sqlite")
    one.claim(["k"], 60)
    one.put([row()])
    assert two.claim(["k"], 60) == set(), "answered, so nobody asks"
    one.delete(["k"])
    assert two.claim(["k"], 60) == {"k"}
