"""``verdicts verify``: poisoned rows and damaged files are found, and mended without losing the rest."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

import pytest

from judges.errors import JudgeError
from judges.request import JudgeRequest
from judges.store import VerdictStore
from judges.stored_reply import StoredReply
from judges.verify import check_store, mend_store
from tests.judges.faulty_server import completion


def good(number: int) -> StoredReply:
    request = JudgeRequest([{"role": "user", "content": f"q{number}"}], {"max_tokens": 1}, "p/1")
    return StoredReply.of(request, "j", completion("m"), cost_usd=0.5, scope="run")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = VerdictStore(tmp_path / "v.sqlite")
    store.put(good(i) for i in range(40))
    store.set_fact("served:j", "j-1")
    store.close()
    return tmp_path / "v.sqlite"


def change(path: Path, statement: str, *values: object) -> str:
    """Change one row; its key."""
    key = good(7).key
    with sqlite3.connect(path) as db:
        assert db.execute(f"UPDATE replies SET {statement} WHERE key = ?", (*values, key)).rowcount
    return key


def test_a_good_store_is_whole(path: Path) -> None:
    found = check_store(path)
    assert (found.rows, found.whole, found.kept) == (40, True, 0)


@pytest.mark.parametrize(
    ("statement", "value", "reason"),
    [
        ("reply = ?", b"rubbish", "unpacked"),
        ("reply = ?", zlib.compress(b"[1]"), "no JSON object"),
        ("reply = ?", zlib.compress(b'{"choices": []}'), "no chat completion"),
        ("request = ?", zlib.compress(b'{"messages": [], "params": {}}'), "key"),
        ("request = ?", zlib.compress(b"{}"), "key"),
        ("protocol = ?", "p/2", "key"),
        ("served = ?", "\x1b[31mjudge", "printable"),
    ],
)
def test_a_poisoned_row_is_set_aside_and_asked_again(
    path: Path, statement: str, value: object, reason: str
) -> None:
    key = change(path, statement, value)
    found = check_store(path)
    assert list(found.poisoned) == [key]
    assert reason in found.poisoned[key]
    mend_store(path)
    again = check_store(path)
    assert (again.whole, again.rows, again.kept) == (True, 39, 1)
    store = VerdictStore(path)
    assert store.get([key]) == {}
    assert store.spent("run") == (40, 20.0), "what it cost stays booked"
    store.put([good(7)])
    assert key in store.get([key])


@pytest.mark.parametrize("cost", [float("inf"), -1.0, 1e300])
def test_a_cost_that_is_no_amount_counts_nothing(path: Path, cost: float) -> None:
    key = change(path, "cost_usd = ?", cost)
    assert check_store(path).costs == [key]
    mend_store(path)
    assert check_store(path).whole
    assert VerdictStore(path).get([key])[key].cost_usd == 0


def test_facts_that_are_no_json_are_forgotten(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE facts SET value = '{'")
    assert VerdictStore(path).fact("served:j") is None
    assert check_store(path).facts == ["served:j"]
    mend_store(path)
    assert check_store(path).whole


def test_a_damaged_row_counts_as_not_there(path: Path) -> None:
    key = change(path, "reply = ?", b"rubbish")
    store = VerdictStore(path)
    assert len(store.get([good(i).key for i in range(40)])) == 39
    assert [row.key for row in store.unreadable()] == [key]


def test_of_a_damaged_file_the_rest_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    store = VerdictStore(path)
    store.put(good(i) for i in range(600))
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = bytes(4096)
    path.write_bytes(data)
    assert check_store(path).file
    found = mend_store(path)
    assert 400 < found.rows < 600
    assert check_store(path).whole
    assert check_store(path).rows == found.rows
    assert path.with_name("v.sqlite.damaged").is_file()


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(JudgeError, match="verify --mend"):
        VerdictStore(path)
    assert check_store(path).file
    with pytest.raises(JudgeError, match="nothing of this verdict store can be read"):
        mend_store(path)
    assert path.read_bytes() == b"x" * 5000
