"""The history in SQLite and in a real PostgreSQL server."""

import json
import socket

import pytest

from groundwork.errors import UserError
from leaderboards import check
from leaderboards.history import UNSENT, History, add
from leaderboards.history_series import series, show
from tests.leaderboards.conftest import empty
from tests.leaderboards.example_runs import dated_run


def test_add_show_and_replace(url, tmp_path):
    first = dated_run(tmp_path, "first", 0.5, "2026-01-01T00:00:00")
    second = dated_run(tmp_path, "second", 0.6, "2026-01-02T00:00:00", "feedbeef0000")
    result = add([first, second], url, branch="main")
    assert result.reached
    assert "first, second" in result.message
    assert "secret" not in result.message
    add([first], url, branch="main")
    (one,) = series(url)
    assert [point.value for point in one.points] == [50.0, 60.0]
    assert [point.commit for point in one.points] == ["abc123def", "feedbeef0"]
    text = show(url)
    assert "gsm8k accuracy (percent) · tiny" in text
    assert "60.0 ±2.5" in text
    with pytest.raises(UserError, match="nothing that fits; it has gsm8k"):
        series(url, benchmarks=["math"])
    with pytest.raises(UserError, match="nothing that fits"):
        show(url, branch="other")


def test_the_gate_reads_its_baseline_from_the_history(url, tmp_path):
    old = dated_run(tmp_path, "old", 0.9, "2026-01-01T00:00:00")
    base = dated_run(tmp_path, "base", 0.6, "2026-01-03T00:00:00")
    lost = dated_run(tmp_path, "lost", 0.4, "2026-01-04T00:00:00")
    add([old, base], url, branch="main")
    assert check(base, "history:main", history=url).status == "pass"
    result = check(lost, "history:main", history=url)
    assert (result.status, result.checks[0].difference) == ("fail", pytest.approx(-20.0))
    with pytest.raises(UserError, match=r"no run of branch 'dev' in .*; it has main"):
        check(lost, "history:dev", history=url)


def test_an_unreachable_database_keeps_the_runs(tmp_path, monkeypatch, postgres):
    monkeypatch.chdir(tmp_path)
    empty(postgres)
    run = dated_run(tmp_path, "kept", 0.5, "2026-01-01T00:00:00")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gone = f"postgresql://bench:secret@127.0.0.1:{port}/postgres"
    result = add([run], gone, branch="main")
    assert not result.reached
    assert UNSENT.is_file()
    assert str(UNSENT) in result.message
    assert "can't be used: postgresql://bench@127.0.0.1" in result.message
    assert "secret" not in result.message
    with pytest.raises(UserError, match="can't be used"):
        show(gone)

    other = dated_run(tmp_path, "other", 0.5, "2026-01-02T00:00:00")
    add([other], "local.sqlite", branch="main")  # another history does not get the waiting run
    assert UNSENT.is_file()
    with History(UNSENT) as local:
        ((record, scores),) = local.records()
        assert "secret" not in record["target"]
        local.put({**record, "target": postgres.replace(":secret", "")}, scores)
    back = add([other], postgres, branch="main")
    assert "and 1 kept from before" in back.message
    assert not UNSENT.exists()
    with History(postgres) as history:
        assert [record["name"] for record, _ in history.records()][:2] == ["kept", "other"]


def test_not_a_history(tmp_path):
    path = tmp_path / "notes.sqlite"
    path.write_text("these are notes, not a database" * 40)
    with pytest.raises(UserError, match=r"can't be used: .*notes\.sqlite: file is not a database"):
        show(path)
    with pytest.raises(UserError, match="not a database URL or file: nosuch://x"):
        show("nosuch://x")


def test_branch_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_HEAD_REF", "feature")
    add([dated_run(tmp_path, "one", 0.5, "2026-01-01T00:00:00")])
    with History() as history:
        ((record, scores),) = history.records()
    assert record["branch"] == "feature"
    assert json.loads(record["baseline"])["kind"] == "sso-bench baseline"
    assert scores[0]["value"] == 50.0


def test_reading_makes_no_database(tmp_path):
    missing = tmp_path / "none.sqlite"
    with pytest.raises(UserError, match="sso-bench history add"):
        series(missing)
    assert not missing.exists()
